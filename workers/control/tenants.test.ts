/** The admin API, from the operator's chair. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { seedDemoTenants, sha256 } from '../local/seed-demo-tenants.ts';
import { startEdge } from '../local/start-edge.ts';
import {
  ask,
  DIRECTIVE_SECRET,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import { createReceiptKey } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

async function admin<T>(
  method: string,
  route: string,
  { body, key = OPERATOR_KEY }: { body?: unknown; key?: string } = {},
): Promise<{ status: number; body: T }> {
  const answer = await fetch(`${under.edge.url}/admin/v1${route}`, {
    method,
    headers: { authorization: `Bearer ${key}` },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  return { status: answer.status, body: (await answer.json()) as T };
}

type List<T> = { data: T[] };
type Tenant = {
  id: string;
  policy_version: string;
  effective_version: string;
  policy: { floor: number };
  problem: string | null;
  keys: object[];
};

const keyOf = (key: string, id = 'main') => ({ id, sha256: sha256(key) });
const document = (floor: number, ...keys: string[]) => ({
  name: 'A tenant',
  policy: { floor, budget: null },
  keys: keys.map((key, index) => keyOf(key, `key-${index}`)),
});
const status = async (key: string) => (await post(under.edge, '/v1/chat/completions', ask('Hi'), key)).status;
const floorFor = async (key: string) => {
  const answer = await post(under.edge, '/v1/chat/completions', ask('Hi'), key);
  return ((await answer.json()) as { plimsoll: { floor: number } }).plimsoll.floor;
};

test('the demo tenants are there, with their digests and never a key', async () => {
  const { body } = await admin<List<Tenant>>('GET', '/tenants');
  expect(body.data.map(({ id }) => id)).toEqual(['demo-balanced', 'demo-open', 'demo-strict']);
  expect(body.data[2]).toMatchObject({
    policy: { floor: 0.9 },
    problem: null,
    keys: [keyOf('pk-demo-strict', 'demo')],
  });
  expect(JSON.stringify(body)).not.toContain('pk-demo');
});

test('no key but the operator’s opens it', async () => {
  for (const key of ['pk-demo-open', 'wrong', sha256(OPERATOR_KEY)]) {
    for (const [method, route] of [
      ['GET', '/tenants'],
      ['PUT', '/tenants/demo-open'],
      ['GET', '/audit'],
    ] as const) {
      const { status, body } = await admin<ErrorBody>(method, route, { key, ...(method === 'PUT' && { body: {} }) });
      expect([status, body.error.code]).toEqual([401, 'invalid_api_key']);
    }
  }
});

test('a changed policy, a new key and a removed key hold at once where the change was made', async () => {
  await admin('PUT', '/tenants/changing', { body: document(0.2, 'pk-one') });
  expect(await floorFor('pk-one')).toBe(0.2);
  expect(await status('pk-two')).toBe(401);
  const { body } = await admin<Tenant & { changed: boolean }>('PUT', '/tenants/changing', {
    body: document(0.6, 'pk-two'),
  });
  expect(body).toMatchObject({ changed: true, policy_version: expect.stringMatching(/^[0-9a-f]{16}$/) });
  expect(await floorFor('pk-two')).toBe(0.6);
  expect(await status('pk-one')).toBe(401);
});

test('every change leaves one audit row, and no change none', async () => {
  const put = (floor: number) =>
    admin<{ changed: boolean; policy_version: string }>('PUT', '/tenants/audited', { body: document(floor, 'pk-a') });
  const first = await put(0.1);
  const same = await put(0.1);
  const second = await put(0.2);
  expect([first, same, second].map(({ body }) => body.changed)).toEqual([true, false, true]);
  expect(first.body.policy_version).not.toBe(second.body.policy_version);
  const { body } = await admin<List<{ tenant: string; at: string }>>('GET', '/audit');
  const rows = body.data.filter(({ tenant }) => tenant === 'audited');
  expect(rows).toMatchObject([
    { actor: 'operator', action: 'tenant-put', detail: { policy: { from: first.body.policy_version } } },
    { actor: 'operator', action: 'tenant-put', detail: { policy: { from: null, to: first.body.policy_version } } },
  ]);
  expect(Date.parse(rows[0]?.at ?? '')).toBeGreaterThan(0);
});

test('a policy that is put back, and a key that stays, keep the time at which they first came', async () => {
  const storage = await under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantStore', {
    name: 'tenants',
  });
  const created = async (table: 'policies' | 'keys') => {
    const rows = await storage.exec(`SELECT created_at FROM ${table} WHERE tenant = 'put-back' ORDER BY created_at`);
    return rows.map(({ created_at }) => created_at);
  };
  const put = (floor: number, ...keys: string[]) =>
    admin('PUT', '/tenants/put-back', { body: document(floor, ...keys) });
  await put(0.1, 'pk-stays');
  const [policy] = await created('policies');
  const [key] = await created('keys');
  await put(0.2, 'pk-stays', 'pk-comes');
  await put(0.1, 'pk-stays');
  expect(await created('policies')).toEqual([policy, expect.not.stringMatching(String(policy))]);
  expect(await created('keys')).toEqual([key]);
});

test('a stored policy that was damaged is mended by putting it again', async () => {
  await admin('PUT', '/tenants/damaged', { body: document(0.4, 'pk-damaged') });
  const storage = await under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantStore', {
    name: 'tenants',
  });
  await storage.exec(`UPDATE policies SET document = '{"floor":' WHERE tenant = 'damaged'`);
  const tenant = async () => {
    const { body } = await admin<List<Tenant>>('GET', '/tenants');
    return body.data.find(({ id }) => id === 'damaged')!;
  };
  expect((await tenant()).problem).toMatch(/does not match its version/);
  expect((await tenant()).effective_version).toMatch(/^strictest-/);
  await admin('PUT', '/tenants/damaged', { body: document(0.4, 'pk-damaged') });
  expect(await tenant()).toMatchObject({ problem: null, policy: { floor: 0.4 } });
});

test('what answers name is the policy in force, the operator’s and the tenant’s joined', async () => {
  await admin('PUT', '/tenants/joined', { body: document(0.25, 'pk-joined') });
  const { body } = await admin<List<Tenant>>('GET', '/tenants');
  const { policy_version, effective_version } = body.data.find(({ id }) => id === 'joined')!;
  const answer = await post(under.edge, '/v1/chat/completions', ask('Hi'), 'pk-joined');
  const { plimsoll } = (await answer.json()) as { plimsoll: { policy: { version: string }; receipt: string } };
  expect(plimsoll.policy.version).toBe(effective_version);
  expect(effective_version).not.toBe(policy_version);
  const receipt = await verifyReceipt(plimsoll.receipt, under.receiptKey.jwks);
  expect(receipt).toMatchObject({ policy: effective_version, classifier: 'scripted', key: 'key-0', tenant: 'joined' });
});

test.each<[string, string, unknown, string]>([
  ['an id with a capital', 'Tenant', document(0, 'pk-x'), 'id'],
  ['an unknown field', 'tenant', { ...document(0, 'pk-x'), plan: 'gold' }, 'plan'],
  ['no policy', 'tenant', { name: 'x', keys: [] }, 'policy'],
  ['a policy without a budget', 'tenant', { name: 'x', policy: { floor: 0 }, keys: [] }, 'policy.budget'],
  [
    'a policy field called __proto__',
    'tenant',
    '{"name":"x","policy":{"floor":0,"budget":0,"__proto__":{}},"keys":[]}',
    'policy.__proto__',
  ],
  [
    'a category called __proto__',
    'tenant',
    '{"name":"x","policy":{"floor":0,"budget":0,"categories":{"__proto__":{}}},"keys":[]}',
    'policy.categories.__proto__',
  ],
  [
    'a document field called __proto__',
    'tenant',
    '{"name":"x","__proto__":{},"policy":{"floor":0,"budget":0},"keys":[]}',
    '__proto__',
  ],
  [
    'a misspelt policy field',
    'tenant',
    { name: 'x', policy: { floor: 0, budget: 0, flor: 1 }, keys: [] },
    'policy.flor',
  ],
  ['a key in the clear', 'tenant', { ...document(0), keys: [{ id: 'k', sha256: 'pk-x' }] }, 'keys[0].sha256'],
  ['a key twice', 'tenant', document(0, 'pk-x', 'pk-x'), 'keys'],
  ['a key of another tenant', 'tenant', document(0, 'pk-y', 'pk-demo-open'), 'keys[1].sha256'],
])('%s is refused by its field and changes nothing', async (_name, id, body, param) => {
  const answer = await admin<ErrorBody>('PUT', `/tenants/${id}`, { body });
  expect([answer.status, answer.body.error.param]).toEqual([400, param]);
  expect(await status('pk-x')).toBe(401);
  expect(await status('pk-demo-open')).toBe(200);
});

test('tenants outlive the edge, and seeding again changes nothing', async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-edge-'));
  const { jwks } = await createReceiptKey('test-key');
  const start = () =>
    startEdge({
      port: 0,
      dataDir,
      // Nobody answers there, and nobody is asked.
      backends: ['http://127.0.0.1:9'],
      directiveSecret: DIRECTIVE_SECRET,
      receiptJwks: jwks,
      operatorKeySha256: sha256(OPERATOR_KEY),
      entry: fileURLToPath(new URL('../testing/worker/main.ts', import.meta.url)),
    });
  const auditRows = async (url: string) => {
    const answer = await fetch(`${url}/admin/v1/audit`, { headers: { authorization: `Bearer ${OPERATOR_KEY}` } });
    return ((await answer.json()) as List<object>).data.length;
  };
  const first = await start();
  await seedDemoTenants(first.url, OPERATOR_KEY);
  expect(await auditRows(first.url)).toBe(3);
  await first.dispose();

  const second = await start();
  const headers = { authorization: 'Bearer pk-demo-open' };
  expect((await fetch(`${second.url}/v1/models`, { headers })).status).toBe(200);
  await seedDemoTenants(second.url, OPERATOR_KEY);
  expect(await auditRows(second.url)).toBe(3);
  await second.dispose();
  await rm(dataDir, { recursive: true, force: true });
});
