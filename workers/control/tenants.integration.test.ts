/** The admin API, as the operator sees it. */
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
  storageOf,
} from '../testing/edge-under-test.ts';
import { createReceiptKey } from '../testing/receipt-key.ts';
import { adminClient } from './admin-client.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

/** A request that bypasses the typed client, for errors and for what its types forbid. */
async function refused(
  method: string,
  route: string,
  { body, key = OPERATOR_KEY }: { body?: unknown; key?: string } = {},
): Promise<{ status: number; error: ErrorBody['error'] }> {
  const answer = await fetch(`${under.edge.url}/admin/v1${route}`, {
    method,
    headers: { authorization: `Bearer ${key}` },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  return { status: answer.status, ...((await answer.json()) as ErrorBody) };
}

/** An answer of the typed client. It is never an error here. */
type Answer<T> = { ok: boolean; headers: Headers; json(): Promise<T> };
async function accepted<T>(pending: Promise<Answer<T>>): Promise<T> {
  const answer = await pending;
  expect(answer.ok).toBe(true);
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  return answer.json();
}
const client = (url = under.edge.url) => adminClient(url, OPERATOR_KEY);
const listTenants = async () => (await accepted(client().tenants.$get({ query: {} }))).data;
const listAudit = async (url?: string) => (await accepted(client(url).audit.$get({ query: {} }))).data;
const put = (id: string, json: ReturnType<typeof document>) =>
  accepted(client().tenants[':id'].$put({ param: { id }, json }));
const tenantOf = async (id: string) => (await listTenants()).find((tenant) => tenant.id === id)!;

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

test('lists the demo tenants with the digests of their keys, never with a key', async () => {
  const tenants = await listTenants();
  expect(tenants.map(({ id }) => id)).toEqual(['demo-balanced', 'demo-open', 'demo-strict']);
  expect(tenants[2]).toMatchObject({
    policy: { floor: 0.9 },
    problem: null,
    keys: [keyOf('pk-demo-strict', 'demo')],
  });
  expect(JSON.stringify(tenants)).not.toContain('pk-demo');
});

test('accepts only the operator’s key', async () => {
  for (const key of ['pk-demo-open', 'wrong', sha256(OPERATOR_KEY)]) {
    for (const [method, route] of [
      ['GET', '/tenants'],
      ['PUT', '/tenants/demo-open'],
      ['GET', '/audit'],
    ] as const) {
      const { status, error } = await refused(method, route, { key, ...(method === 'PUT' && { body: {} }) });
      expect([status, error.code]).toEqual([401, 'invalid_api_key']);
    }
  }
});

test('a changed policy, a new key and a removed key take effect at once in the isolate that made the change', async () => {
  await put('changing', document(0.2, 'pk-one'));
  expect(await floorFor('pk-one')).toBe(0.2);
  expect(await status('pk-two')).toBe(401);
  expect(await put('changing', document(0.6, 'pk-two'))).toMatchObject({
    changed: true,
    policy_version: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
  expect(await floorFor('pk-two')).toBe(0.6);
  expect(await status('pk-one')).toBe(401);
});

test('every change leaves one audit row, and putting the same document leaves none', async () => {
  const first = await put('audited', document(0.1, 'pk-a'));
  const same = await put('audited', document(0.1, 'pk-a'));
  const second = await put('audited', document(0.2, 'pk-a'));
  expect([first, same, second].map(({ changed }) => changed)).toEqual([true, false, true]);
  expect(first.policy_version).not.toBe(second.policy_version);
  const rows = (await listAudit()).filter(({ tenant }) => tenant === 'audited');
  expect(rows).toMatchObject([
    { actor: 'operator', action: 'tenant-put', detail: { policy: { from: first.policy_version } } },
    { actor: 'operator', action: 'tenant-put', detail: { policy: { from: null, to: first.policy_version } } },
  ]);
  expect(Date.parse(rows[0]?.at ?? '')).toBeGreaterThan(0);
});

test('a policy that is put back and a key that stays keep their creation times', async () => {
  const created = async (table: 'policies' | 'keys') => {
    const storage = await storageOf(under, 'put-back');
    const rows = await storage.exec(`SELECT created_at FROM ${table} ORDER BY created_at`);
    return rows.map(({ created_at }) => created_at);
  };
  await put('put-back', document(0.1, 'pk-stays'));
  const [policy] = await created('policies');
  const [key] = await created('keys');
  await put('put-back', document(0.2, 'pk-stays', 'pk-comes'));
  await put('put-back', document(0.1, 'pk-stays'));
  expect(await created('policies')).toEqual([policy, expect.not.stringMatching(String(policy))]);
  expect(await created('keys')).toEqual([key]);
});

test('putting a damaged stored policy again repairs it', async () => {
  await put('damaged', document(0.4, 'pk-damaged'));
  await (await storageOf(under, 'damaged')).exec(`UPDATE policies SET document = '{"floor":'`);
  expect((await tenantOf('damaged')).problem).toMatch(/does not match its version/);
  expect((await tenantOf('damaged')).effective_version).toMatch(/^strictest-/);
  await put('damaged', document(0.4, 'pk-damaged'));
  expect(await tenantOf('damaged')).toMatchObject({ problem: null, policy: { floor: 0.4 } });
});

test('answers name the policy in force: the operator’s and the tenant’s, joined', async () => {
  await put('joined', document(0.25, 'pk-joined'));
  const { policy_version, effective_version } = await tenantOf('joined');
  const answer = await post(under.edge, '/v1/chat/completions', ask('Hi'), 'pk-joined');
  const { plimsoll } = (await answer.json()) as { plimsoll: { policy: { version: string }; receipt: string } };
  expect(plimsoll.policy.version).toBe(effective_version);
  expect(effective_version).not.toBe(policy_version);
  const receipt = await verifyReceipt(plimsoll.receipt, under.receiptKey.jwks);
  expect(receipt).toMatchObject({ policy: effective_version, classifier: 'scripted', key: 'key-0', tenant: 'joined' });
});

test.each<[string, string, unknown, string]>([
  ['an id with a capital', 'Tenant', document(0, 'pk-x'), 'id'],
  ['an unknown field', 'tenant', { ...document(0, 'pk-x'), colour: 'gold' }, 'colour'],
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
  ['the same key twice', 'tenant', document(0, 'pk-x', 'pk-x'), 'keys'],
  ['a key of another tenant', 'tenant', document(0, 'pk-y', 'pk-demo-open'), 'keys[1].sha256'],
])('%s is refused with the name of its field and changes nothing', async (_name, id, body, param) => {
  const answer = await refused('PUT', `/tenants/${id}`, { body });
  expect([answer.status, answer.error.param]).toEqual([400, param]);
  expect(await status('pk-x')).toBe(401);
  expect(await status('pk-demo-open')).toBe(200);
});

test('tenants survive a restart of the edge, and seeding again changes nothing', async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-edge-'));
  const { jwks } = await createReceiptKey('test-key');
  const start = () =>
    startEdge({
      port: 0,
      dataDir,
      // Nothing listens there, and nothing is sent there.
      backends: ['http://127.0.0.1:9'],
      directiveSecret: DIRECTIVE_SECRET,
      receiptJwks: jwks,
      operatorKeySha256: sha256(OPERATOR_KEY),
      entry: fileURLToPath(new URL('../testing/worker/main.ts', import.meta.url)),
    });
  const first = await start();
  await seedDemoTenants(first.url, OPERATOR_KEY);
  expect(await listAudit(first.url)).toHaveLength(3);
  await first.dispose();

  const second = await start();
  const headers = { authorization: 'Bearer pk-demo-open' };
  expect((await fetch(`${second.url}/v1/models`, { headers })).status).toBe(200);
  await seedDemoTenants(second.url, OPERATOR_KEY);
  expect(await listAudit(second.url)).toHaveLength(3);
  await second.dispose();
  await rm(dataDir, { recursive: true, force: true });
});
