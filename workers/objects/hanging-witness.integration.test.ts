/** A witness that hangs holds up nobody but whoever tells it, and no key that is revoked. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminClient } from '../control/admin-client.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
let admin: ReturnType<typeof adminClient>;
beforeAll(async () => {
  under = await startEdgeUnderTest({ entry: 'hanging-witness-main.ts', seed: false });
  admin = adminClient(under.edge.url, OPERATOR_KEY);
});
afterAll(() => under.dispose());

const putPlan = (id: string) => admin.plans[':id'].$put({ param: { id }, json: { name: id, policy: {} } });
const hasPlan = async (id: string) =>
  (await (await admin.plans.$get()).json()).data.some((plan: { id: string }) => plan.id === id);
/** Asks until it is so. A test that never sees it fails by its own limit. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
}
const status = async (key: string) =>
  (await fetch(`${under.edge.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;

test('others change what they like while a change waits for the witness', async () => {
  const keys = [{ id: 'main', sha256: sha256('pk-other') }];
  const json = { name: 'other', policy: { floor: 0.5, budget: null }, keys };
  expect((await admin.tenants[':id'].$put({ param: { id: 'other' }, json })).status).toBe(200);
  expect(await status('pk-other')).toBe(200);

  const waiting: string[] = ['hangs', 'later'];
  const answered: string[] = [];
  for (const id of waiting) {
    // It is answered when the edge is closed, if ever.
    void putPlan(id).then(
      () => answered.push(id),
      () => undefined,
    );
    await until(() => hasPlan(id));
  }
  // A key is revoked, and that is answered, while the changes before it still wait.
  const param = { id: 'other', key: 'main' };
  expect((await admin.tenants[':id'].keys[':key'].$delete({ param })).status).toBe(200);
  expect(await status('pk-other')).toBe(401);
  expect(answered).toEqual([]);
  const entries = (await (await admin.audit.$get({ query: {} })).json()).data;
  expect(entries.map(({ action }) => action)).toEqual(['key-revoke', 'plan-put', 'plan-put', 'tenant-put']);
}, 600_000);
