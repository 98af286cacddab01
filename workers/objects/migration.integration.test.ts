/**
 * A state folder of version 0.1.0, in which one object held all tenants. The fixture is a dump of
 * the database that the class of that version wrote: the demo tenants, one that was changed twice
 * and lost a key, and one without keys.
 */
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminClient } from '../control/admin-client.ts';
import { seedDemoTenants, sha256 } from '../local/seed-demo-tenants.ts';
import { type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest, storageOf } from '../testing/edge-under-test.ts';

const DUMP = new URL('./fixtures/old-tenant-store.sql', import.meta.url);
/** What the runtime calls the file of the object `tenants`. */
const FILE = 'b5d3c57bca7cb4ce5adcb9f6913fe20dd0d26845f2826c017611910d8acd93c5.sqlite';

let under: EdgeUnderTest;
let admin: ReturnType<typeof adminClient>;
let old: DatabaseSync;

beforeAll(async () => {
  const dump = await readFile(DUMP, 'utf8');
  old = new DatabaseSync(':memory:');
  old.exec(dump);
  under = await startEdgeUnderTest({
    seed: false,
    async prepare(dataDir) {
      const folder = path.join(dataDir, 'do/plimsoll-edge-TenantStore');
      await mkdir(folder, { recursive: true });
      const database = new DatabaseSync(path.join(folder, FILE));
      database.exec(dump);
      database.close();
    },
  });
  admin = adminClient(under.edge.url, OPERATOR_KEY);
});
afterAll(async () => {
  old.close();
  await under.dispose();
});

const rows = (table: string) => old.prepare(`SELECT * FROM ${table} ORDER BY 1`).all() as Record<string, string>[];
const status = async (key: string) =>
  (await fetch(`${under.edge.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;

test('the first request with an old key finds its tenant, and a key that was removed stays removed', async () => {
  expect(await Promise.all(['pk-acme-1', 'pk-demo-strict', 'pk-demo-open'].map(status))).toEqual([200, 200, 200]);
  expect(await status('pk-acme-2')).toBe(401);
});

test('every tenant, key and policy is there as it was', async () => {
  const { data } = await (await admin.tenants.$get({ query: {} })).json();
  expect(data.map(({ id, name, policy_version }) => ({ id, name, policy_version }))).toEqual(
    rows('tenants').map(({ id, name, policy_version }) => ({ id, name, policy_version })),
  );
  expect(data.every(({ problem }) => problem === null)).toBe(true);
  const keys = data.flatMap(({ id: tenant, keys }) => keys.map((key) => ({ ...key, tenant })));
  const wanted = rows('keys').map(({ sha256, tenant, id, created_at }) => ({ sha256, tenant, id, created_at }));
  expect(keys).toEqual(expect.arrayContaining(wanted.map((key) => expect.objectContaining(key))));
  expect(keys).toHaveLength(wanted.length);
  for (const { tenant, version, document, created_at } of rows('policies')) {
    const stored = await (await storageOf(under, tenant!)).exec('SELECT * FROM policies WHERE version = ?', version!);
    expect(stored).toEqual([{ version, document, created_at }]);
  }
});

test('the audit log goes on where it was, and both chains hold', async () => {
  const listed = await (await admin.audit.$get({ query: {} })).json();
  const wanted = rows('audit').map(({ at, actor, action, tenant, detail }) => {
    return { at, actor, action, tenant, detail: JSON.parse(detail!) as unknown };
  });
  expect(listed.data.toReversed()).toMatchObject(wanted);
  for (const id of ['acme', 'idle']) {
    const verdict = await (await admin.tenants[':id'].audit.verify.$get({ param: { id } })).json();
    expect(verdict).toMatchObject({ valid: true, entries: wanted.filter(({ tenant }) => tenant === id).length });
  }
  expect(await (await admin.audit.verify.$get({ query: {} })).json()).toMatchObject({ valid: true, entries: 7 });
});

test('an old version can be made active again, and a key of another tenant is still refused', async () => {
  const first = rows('policies').find(({ tenant, document }) => tenant === 'acme' && document?.includes('"floor":0.2'));
  const param = { id: 'acme', version: first!.version! };
  const activate = admin.tenants[':id'].policies[':version'].activate;
  const answer = await activate.$post({ param, json: {} }, { headers: { 'if-match': '*' } });
  expect(await answer.json()).toMatchObject({ policy_version: first!.version, policy: { floor: 0.2 } });
  const json = { name: 'Thief', policy: { floor: 0, budget: null }, keys: [{ id: 'k', sha256: sha256('pk-acme-1') }] };
  expect((await admin.tenants[':id'].$put({ param: { id: 'thief' }, json })).status).toBe(400);
  expect(await (await admin.audit.verify.$get({ query: {} })).json()).toMatchObject({ valid: true, entries: 8 });
});

test('seeding the demo tenants puts their policies of this version, once', async () => {
  const entries = async () => (await (await admin.audit.verify.$get({ query: {} })).json()).entries;
  await seedDemoTenants(under.edge.url, OPERATOR_KEY);
  const seeded = await entries();
  await seedDemoTenants(under.edge.url, OPERATOR_KEY);
  expect(await entries()).toBe(seeded);
  expect(await status('pk-demo-balanced')).toBe(200);
});
