/** Keys belong to one tenant, and a crash between the index and a tenant's object heals. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminClient } from '../control/admin-client.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  ask,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  storageOf,
} from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
let admin: ReturnType<typeof adminClient>;
beforeAll(async () => {
  under = await startEdgeUnderTest({ entry: 'crashing-main.ts', seed: false });
  admin = adminClient(under.edge.url, OPERATOR_KEY);
});
afterAll(() => under.dispose());

const put = (id: string, ...keys: string[]) =>
  admin.tenants[':id'].$put({
    param: { id },
    json: {
      name: id,
      policy: { floor: 0.5, budget: null },
      keys: keys.map((key, index) => ({ id: `key-${index}`, sha256: sha256(key) })),
    },
  });
const status = async (key: string) =>
  (await fetch(`${under.edge.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;
const anyRevision = { headers: { 'if-match': '*' } };
const erase = (id: string) => admin.tenants[':id'].$delete({ param: { id }, query: { data: 'erase' } }, anyRevision);
const headers = { authorization: `Bearer ${OPERATOR_KEY}` };
/** A backup of one tenant: all but the other tenants' lines. */
async function backupOf(id: string): Promise<string> {
  const text = await (await fetch(`${under.edge.url}/admin/v1/export`, { headers })).text();
  const own = text.split('\n').filter((line) => line.includes(`"tenant":"${id}"`) || line.includes(`"id":"${id}"`));
  const [head] = text.split('\n');
  return [head, ...own, JSON.stringify({ type: 'end', plans: 0, tenants: 1 })].join('\n');
}
const restore = (body: string) => fetch(`${under.edge.url}/admin/v1/import`, { method: 'POST', headers, body });
const spend = async (key: string) => (await post(under.edge, '/v1/chat/completions', ask('Hi'), key)).status;
const tenantIds = async () => (await (await admin.tenants.$get({ query: {} })).json()).data.map(({ id }) => id);
const auditOf = async (id: string) =>
  (await (await admin.audit.$get({ query: {} })).json()).data.filter(({ tenant }) => tenant === id);
async function expectWholeLogs(id: string) {
  const own = await (await admin.tenants[':id'].audit.verify.$get({ param: { id } })).json();
  expect(own).toMatchObject({ valid: true, problem: null });
  const all = await (await admin.audit.verify.$get({ query: {} })).json();
  expect(all).toMatchObject({ valid: true, problem: null });
}
async function indexStorage() {
  return under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantIndex', { name: 'index' });
}

test('of tenants that claim the same key at the same time, one gets it', async () => {
  const ids = Array.from({ length: 8 }, (_, index) => `rival-${index}`);
  const answers = await Promise.all(ids.map((id) => put(id, 'pk-rivals', `pk-own-of-${id}`)));
  const winners = ids.filter((_, index) => answers[index]?.ok);
  expect(winners).toHaveLength(1);
  for (const answer of answers.filter(({ ok }) => !ok)) {
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: 'invalid_request', param: 'keys[0].sha256' } });
  }
  expect((await tenantIds()).filter((id) => id.startsWith('rival-'))).toEqual(winners);
  expect(await status('pk-rivals')).toBe(200);
  // What a loser asked for beside it was not taken either.
  const loser = ids.find((id) => !winners.includes(id))!;
  expect((await put('rival-later', `pk-own-of-${loser}`)).status).toBe(200);
});

test('a crash after the index gave a key leaves no tenant, and the key is free for the next who asks', async () => {
  const answer = await put('crash-after-claim-1', 'pk-crashed');
  expect(answer.status).toBe(503);
  expect(await status('pk-crashed')).toBe(401);
  expect((await put('heir', 'pk-crashed')).status).toBe(200);
  expect(await tenantIds()).not.toContain('crash-after-claim-1');
  // Its key was tried before it existed, so this isolate may go on refusing it for a moment.
  await expect.poll(() => status('pk-crashed')).toBe(200);
});

test('a tenant that crashed while it was made can be made again', async () => {
  expect((await put('crash-after-claim-2', 'pk-again')).status).toBe(503);
  expect((await put('crash-after-claim-2', 'pk-again')).status).toBe(200);
  expect(await auditOf('crash-after-claim-2')).toHaveLength(1);
  await expectWholeLogs('crash-after-claim-2');
});

test('a crash before the index heard of a change loses nothing, and a key that was left out is closed at once', async () => {
  const id = 'crash-before-settle-1';
  expect((await put(id, 'pk-left-out')).status).toBe(200);
  expect((await put(id, 'pk-kept')).status).toBe(503);
  const tenant = await (await admin.tenants[':id'].$get({ param: { id } })).json();
  expect(tenant).toMatchObject({ revision: 2, keys: [{ sha256: sha256('pk-kept') }] });
  // The next change tells the index of both.
  expect((await put(id, 'pk-kept', 'pk-third')).status).toBe(200);
  expect((await auditOf(id)).map(({ detail }) => detail)).toMatchObject([
    { keys: { to: ['key-0', 'key-1'] } },
    { keys: { from: ['key-0'], to: ['key-0'] } },
    { keys: { from: [], to: ['key-0'] } },
  ]);
  await expectWholeLogs(id);
  expect((await put('takes-over', 'pk-left-out')).status).toBe(200);
});

test('if nobody comes after a crash, the object heals by its alarm', async () => {
  const id = 'crash-before-settle-2';
  await put(id, 'pk-first-of-2');
  expect((await put(id, 'pk-second-of-2')).status).toBe(503);
  const keysInIndex = async () =>
    (await (await indexStorage()).exec('SELECT sha256 FROM keys WHERE tenant = ?', id)).map((row) => row.sha256);
  await expect.poll(keysInIndex).toEqual([sha256('pk-second-of-2')]);
  expect(await auditOf(id)).toHaveLength(2);
});

test('an object that cannot tell the index heals as soon as it can, however often it has tried', async () => {
  const id = 'index-away-9';
  expect((await put(id, 'pk-away')).status).toBe(200);
  const keysInIndex = async () =>
    (await (await indexStorage()).exec('SELECT sha256 FROM keys WHERE tenant = ?', id)).map((row) => row.sha256);
  expect((await put(id, 'pk-back')).status).toBe(200);
  expect(await keysInIndex()).toContain(sha256('pk-away'));
  await expect.poll(keysInIndex).toEqual([sha256('pk-back')]);
  expect(under.log.filter((line) => line.includes('not-healed')).length).toBeGreaterThan(6);
});

test('an import while an erasure is unfinished finishes that first, and the tenant comes back whole and spends', async () => {
  const id = 'account-away';
  const policy = { floor: 0.5, budget: null, limits: { tokens_per_day: 100_000 } };
  const keys = [{ id: 'web', sha256: sha256('pk-halfway') }];
  await admin.tenants[':id'].$put({ param: { id }, json: { name: id, policy, keys } });
  expect(await spend('pk-halfway')).toBe(200);
  const backup = await backupOf(id);
  expect((await erase(id)).status).toBe(503);
  // Whatever is in the way of the account, the tenant's own data are gone.
  for (const table of ['tenant', 'keys', 'policies', 'activations', 'audit']) {
    expect(await (await storageOf(under, id)).exec(`SELECT * FROM ${table}`), table).toEqual([]);
  }
  expect((await restore(backup)).status).toBe(200);
  const audit = await (await admin.tenants[':id'].audit.$get({ param: { id }, query: {} })).json();
  expect(audit.data.map(({ action }) => action)).toEqual(['tenant-put']);
  await expectWholeLogs(id);
  // The key was refused in between, so this isolate may go on refusing it for a moment.
  await expect.poll(() => spend('pk-halfway')).toBe(200);
  expect(await (await restore(backup)).json()).toMatchObject({ tenants: { restored: 0, unchanged: 1 } });
  expect(await spend('pk-halfway')).toBe(200);
});

test('an erasure that breaks off goes on with the same call, which says that all is gone only when it is', async () => {
  const id = 'account-away-2';
  const policy = { floor: 0.5, budget: null, limits: { tokens_per_day: 100_000 } };
  const keys = [{ id: 'web', sha256: sha256('pk-going') }];
  await admin.tenants[':id'].$put({ param: { id }, json: { name: id, policy, keys } });
  expect(await spend('pk-going')).toBe(200);
  const account = async (query: string) =>
    (await under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantAccount', { name: id })).exec(
      query,
    );
  expect(await account('SELECT id FROM charges')).toHaveLength(1);
  expect([(await erase(id)).status, (await erase(id)).status]).toEqual([503, 503]);
  expect(await account('SELECT id FROM charges')).toHaveLength(1);
  const gone = await erase(id);
  expect([gone.status, await gone.json()]).toEqual([200, { id, deleted: true, data: 'erase' }]);
  expect(await account('SELECT id FROM charges')).toEqual([]);
  expect(await account("SELECT name FROM facts WHERE name = 'erased'")).toHaveLength(1);
  expect((await erase(id)).status).toBe(404);
  expect((await auditOf(id)).map(({ action }) => action)).toEqual(['tenant-erase', 'tenant-put']);
  await expectWholeLogs('heir');
});

test('an erasure that crashed before the index heard of it goes on with the same call', async () => {
  const id = 'crash-before-settle-held';
  expect((await put(id, 'pk-held')).status).toBe(200);
  expect((await erase(id)).status).toBe(503);
  const again = await erase(id);
  expect([again.status, await again.json()]).toEqual([200, { id, deleted: true, data: 'erase' }]);
  expect((await auditOf(id)).map(({ action }) => action)).toEqual(['tenant-erase', 'tenant-put']);
  expect((await erase(id)).status).toBe(404);
});

test('an import that is refused leaves an erased tenant erased, and no row of its history', async () => {
  const id = 'refused-import';
  expect((await put(id, 'pk-taken-later')).status).toBe(200);
  const backup = await backupOf(id);
  expect((await erase(id)).status).toBe(200);
  expect((await put('taker', 'pk-taken-later')).status).toBe(200);
  expect((await restore(backup)).status).toBe(400);
  // And one that never comes to the tenant itself.
  const cutOff = backup.split('\n').filter((line) => !line.includes(`"id":"${id}"`));
  const answer = await restore(cutOff.join('\n'));
  expect(answer.status).toBe(400);
  const account = await under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantAccount', {
    name: id,
  });
  expect(await account.exec("SELECT name FROM facts WHERE name = 'erased'")).toHaveLength(1);
  const staged = async () => (await storageOf(under, id)).exec('SELECT seq FROM staged_audit');
  await expect.poll(staged).toEqual([]);
});

test('a crash while an erased tenant is restored leaves it erased, and its id is still not used again', async () => {
  const id = 'crash-after-revival';
  expect((await put(id, 'pk-of-revived')).status).toBe(200);
  const backup = await backupOf(id);
  expect((await erase(id)).status).toBe(200);
  expect((await restore(backup)).status).toBe(503);
  await expect.poll(async () => (await put(id, 'pk-of-another')).status).toBe(409);
  expect((await restore(backup)).status).toBe(200);
  await expectWholeLogs(id);
});
