/** What is kept of a tenant's prompts, and what is not: the Worker in workerd. */
import { beforeEach, expect, test } from 'vitest';
import { MOST_KEPT, MOST_KEPT_CHARACTERS } from '../objects/tenant-traffic-contract.ts';
import { ask, eventually, OPERATOR_KEY, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { ALL, contents, DAY_MS, keptPromptsBench, prompt } from '../testing/kept-prompts-bench.ts';

const bench = keptPromptsBench();
const { admin, begin, putTenant, chat, samples, storage, rows, kept, call, refusal, at } = bench;
let tenant: string;
beforeEach(() => {
  ({ tenant } = bench);
});

test('keeps nothing unless the tenant says so, and says what to set', async () => {
  await putTenant({});
  expect(await chat('Hello')).toMatchObject({ status: 200 });
  expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({
    status: 409,
    code: 'conflict',
    param: 'retention',
    message: expect.stringContaining(`"retention": { "traffic": true`),
  });
  await putTenant({ retention: { ...ALL, share: 0 } });
  expect(await chat('Hello')).toMatchObject({ status: 200 });
  expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({ status: 409 });
  // The one that is kept comes after all that might have been.
  await putTenant({ retention: ALL });
  await chat('Allowed');
  await kept(1);
  expect(contents(await samples())).toEqual(['Allowed']);
});

test('with a share of 1 it keeps what was asked, and nothing of who asked or what was answered', async () => {
  const ramp = { from: 0.5, full: 0.9 };
  const categories = { hate: { action: 'refuse', ramp }, privacy: { floor: 0.9, ramp, shadow: true } };
  await putTenant({ retention: ALL, categories });
  expect((await chat('First')).status).toBe(200);
  expect((await chat('Streamed [[privacy=0.95]]', { stream: true })).status).toBe(200);
  expect((await chat('Refused [[hate=0.95]]')).status).toBe(403);
  const messages = [
    { role: 'developer', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'In parts' }] },
  ];
  expect((await chat('', { messages, user: 'someone@example.com', metadata: { x: 'y' } })).status).toBe(200);
  const found = await kept(4);
  expect(Object.keys(found[0]!).sort()).toEqual(['expires_at', 'kept_at', 'messages', 'seq']);
  const lines = await samples();
  expect(new Set(contents(lines))).toEqual(
    new Set(['First', 'Streamed [[privacy=0.95]]', 'Refused [[hate=0.95]]', 'In parts']),
  );
  const inParts = lines.find(({ messages }) => messages.length === 2)!;
  expect(Object.keys(inParts)).toEqual(['kept_at', 'messages']);
  expect(inParts.messages).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'In parts' },
  ]);
  expect(Date.now() - Date.parse(inParts.kept_at)).toBeLessThan(600_000);
  expect(contents(await samples(tenant, '?limit=2'))).toHaveLength(2);
});

test('what nobody answered is not kept: wrong requests, those above a limit, and trials', async () => {
  await putTenant({ retention: ALL, limits: { requests_per_minute: 1 } });
  expect((await chat('Wrong', { temperature: 9 })).status).toBe(400);
  expect((await chat('No such model', { model: 'none' })).status).toBe(404);
  expect((await chat('Wrong key', {}, 'pk-wrong')).status).toBe(401);
  const policies = await admin('POST', `/tenants/${tenant}/policies`, { body: { policy: { floor: 1, budget: 0 } } });
  const { version } = (await policies.json()) as { version: string };
  const tried = await post(
    bench.under.edge,
    `/admin/v1/tenants/${tenant}/policies/${version}/try`,
    ask('A trial'),
    OPERATOR_KEY,
  );
  expect([200, 429]).toContain(tried.status);
  await putTenant({ retention: ALL, limits: { tokens_per_minute: 1 } });
  expect((await chat('Too much')).status).toBe(429);
  await putTenant({ retention: ALL });
  // The one that is kept comes after all that might have been.
  expect((await chat('Right')).status).toBe(200);
  await kept(1);
  expect(contents(await samples())).toEqual(['Right']);
});

test('at most 500 are kept, the oldest goes first, and one that is too long is not kept', async () => {
  await putTenant({ retention: ALL });
  await chat('Oldest');
  await kept(1);
  const disk = await storage();
  const long = 'x'.repeat(MOST_KEPT_CHARACTERS);
  expect(await call('keep', { ...prompt(long) })).toBe(false);
  const now = Date.now();
  await disk.exec(
    `WITH RECURSIVE more (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM more WHERE i + 1 < ${MOST_KEPT})
     INSERT INTO prompts (kept_at, expires_at, messages)
     SELECT ?, ?, '[{"role":"user","content":"Older ' || i || '"}]' FROM more`,
    ...[now, now + DAY_MS],
  );
  expect(contents(await samples()).at(-1)).toBe('Oldest');
  await chat('Newest');
  const last = async (): ReturnType<typeof samples> => {
    const lines = await samples();
    return contents(lines)[0] === 'Newest' ? lines : last();
  };
  const lines = await last();
  expect(lines).toHaveLength(MOST_KEPT);
  expect(contents(lines).at(-1)).toBe('Older 1');
  expect(await rows()).toHaveLength(MOST_KEPT);
});

test("a key's own policy forbids it for what is asked with that key", async () => {
  await putTenant({ retention: ALL });
  const own = { policy: { retention: { traffic: false } } };
  const made = await admin('POST', `/tenants/${tenant}/keys`, { body: own });
  const { key: silent } = (await made.json()) as { key: string };
  for (const content of ['Unheard', 'Unheard too']) expect((await chat(content, {}, silent)).status).toBe(200);
  await chat('Heard');
  await kept(1);
  expect(contents(await samples())).toEqual(['Heard']);
});

test('a canary that forbids it forbids it for both sides', async () => {
  await putTenant({ retention: ALL });
  const drafted = await admin('POST', `/tenants/${tenant}/policies`, { body: { policy: { floor: 0, budget: null } } });
  const { version } = (await drafted.json()) as { version: string };
  const canary = await admin('POST', `/tenants/${tenant}/policies/${version}/activate`, { body: { share: 0.5 } });
  expect(canary.status).toBe(200);
  await Promise.all(['a', 'b', 'c', 'd'].map((text) => chat(text)));
  expect((await admin('POST', `/tenants/${tenant}/rollback`)).status).toBe(200);
  await chat('Kept');
  await kept(1);
  expect(contents(await samples())).toEqual(['Kept']);
});

test('of a share of the requests, whatever they say, and never more than 60 a minute', async () => {
  await putTenant({ retention: { ...ALL, share: 0.5 } });
  for (let i = 0; i < 40; i++) expect((await chat('The same')).status).toBe(200);
  await putTenant({ retention: ALL });
  await chat('The last');
  const until = async (): ReturnType<typeof samples> => {
    const lines = await samples();
    return contents(lines)[0] === 'The last' ? lines : until();
  };
  const half = (await until()).length - 1;
  // One of these in 2^40 runs of this test, if it is a fair coin.
  expect(half).toBeGreaterThan(0);
  expect(half).toBeLessThan(40);

  await admin('DELETE', `/tenants/${tenant}/samples`);
  ({ tenant } = begin(`${tenant}-busy`));
  await putTenant({ retention: ALL });
  const began = Date.now();
  for (let i = 0; i < 70; i++) expect((await chat('Many')).status).toBe(200);
  const minutes = Math.ceil((Date.now() - began) / 60_000);
  if (minutes === 1) await kept(60);
  expect((await rows()).length).toBeLessThanOrEqual(60 * minutes);
});

test('a request neither waits for it nor fails with it, and the log does not quote it', async () => {
  await putTenant({ retention: ALL });
  await call('fail');
  expect((await chat('QUOTED-IN-AN-ERROR')).status).toBe(200);
  await eventually(
    () => bench.under.log,
    (log) => log.some((line) => line.includes('prompt-not-kept') && line.includes(tenant)),
    60_000,
  );
  await call('hang');
  expect((await chat('SLOWLY-KEPT')).status).toBe(200);
  await chat('Kept at last');
  await kept(1);
  expect(bench.under.log.join('\n')).not.toMatch(/QUOTED-IN-AN-ERROR|SLOWLY-KEPT|Kept at last/);
});

test('an edge without the object keeps nothing, and answers', async () => {
  const without = await startEdgeUnderTest({ seed: false, without: ['TENANT_TRAFFIC'] });
  await at(without.edge, async () => {
    await putTenant({ retention: ALL });
    expect((await chat('Hello')).status).toBe(200);
    expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({
      status: 409,
      message: expect.stringContaining('TENANT_TRAFFIC'),
    });
    expect(await (await admin('DELETE', `/tenants/${tenant}/samples`)).json()).toEqual({ id: tenant, erased: 0 });
    expect((await admin('DELETE', `/tenants/${tenant}?data=erase`)).status).toBe(200);
  }).finally(() => without.dispose());
});
