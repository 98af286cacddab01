/** The end of the deployment's audit log: another object knows it, so a cut one is noticed. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminClient } from '../control/admin-client.ts';
import { type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
let admin: ReturnType<typeof adminClient>;
beforeAll(async () => {
  under = await startEdgeUnderTest();
  admin = adminClient(under.edge.url, OPERATOR_KEY);
});
afterAll(() => under.dispose());

const putPlan = async (id: string) => {
  const answer = await admin.plans[':id'].$put({ param: { id }, json: { name: id, policy: {} } });
  expect(answer.status).toBe(200);
};
const verdict = async () => (await admin.audit.verify.$get({ query: {} })).json();
const storage = (type: 'TenantIndex' | 'AuditWitness', name: string) =>
  under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', type, { name });
const index = () => storage('TenantIndex', 'index');
const witness = () => storage('AuditWitness', 'witness');

test('each change is known to the witness by the time that it is answered', async () => {
  await putPlan('first');
  const { entries: seq, head: hash, known } = await verdict();
  expect(known).toEqual({ seq, hash });
  expect(await (await witness()).exec('SELECT * FROM head')).toEqual([{ seq, hash }]);
});

test('a cut end is noticed, and so it is once the log has grown past it again', async () => {
  await putPlan('second');
  await putPlan('third');
  const { known, entries } = await verdict();
  await (await index()).exec('DELETE FROM audit WHERE seq > ?', entries - 2);
  const why = `the chain ends here, but entry ${entries} was known`;
  expect(await verdict()).toMatchObject({ valid: false, known, problem: { seq: entries - 1, why } });
  for (const id of ['fourth', 'fifth', 'sixth', 'seventh']) await putPlan(id);
  expect(await verdict()).toMatchObject({
    valid: false,
    known,
    entries: entries + 2,
    problem: { seq: entries, why: 'it is not the entry that was known' },
  });
  // What it knows stays what it was.
  expect((await (await witness()).exec('SELECT seq FROM head'))[0]).toEqual({ seq: entries });
});

test('a log that is older than its witness is taken as it is, and followed from there', async () => {
  await (await witness()).exec('DELETE FROM head');
  expect(await verdict()).toMatchObject({ valid: true });
  await putPlan('eighth');
  const { entries: seq, head: hash, known } = await verdict();
  expect(known).toEqual({ seq, hash });
});

test('without a witness nothing but a noted entry tells, and the answer says so', async () => {
  const alone = await startEdgeUnderTest({ seed: false, without: ['AUDIT_WITNESS'] });
  try {
    const client = adminClient(alone.edge.url, OPERATOR_KEY);
    await client.plans[':id'].$put({ param: { id: 'only' }, json: { name: 'only', policy: {} } });
    const said = await (await client.audit.verify.$get({ query: {} })).json();
    expect(said).toMatchObject({ valid: true, entries: 1, known: null });
  } finally {
    await alone.dispose();
  }
});
