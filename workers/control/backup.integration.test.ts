/** A backup of one edge, restored into another and into itself. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Policy } from '#policies/schema.ts';
import { canonicalPolicy, policyVersion } from '#policies/version.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import { seedDemoTenants } from '../local/seed-demo-tenants.ts';
import { chainEvents, NO_AUDIT } from '../objects/audit-chain.ts';
import { type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { adminClient } from './admin-client.ts';
import type { ImportAnswer } from './backup-lines.ts';

let first: EdgeUnderTest;
let second: EdgeUnderTest;
let key: string;
const adminOf = ({ edge }: EdgeUnderTest) => adminClient(edge.url, OPERATOR_KEY);
const headers = { authorization: `Bearer ${OPERATOR_KEY}` };
const any = { headers: { 'if-match': '*' } };

beforeAll(async () => {
  [first, second] = await Promise.all([startEdgeUnderTest({ seed: false }), startEdgeUnderTest({ seed: false })]);
  await seedDemoTenants(first.edge.url, OPERATOR_KEY);
  const admin = adminOf(first);
  await admin.plans[':id'].$put({ param: { id: 'gold' }, json: { name: 'Gold', policy: { floor: 0.1, budget: 9 } } });
  const param = { id: 'acme' };
  await admin.tenants.$post({ json: { id: 'acme', name: 'Acme', plan: 'gold', policy: { floor: 0.4, budget: null } } });
  key = (await (await admin.tenants[':id'].keys.$post({ param, json: { id: 'web' } })).json()).key;
  const draft = await admin.tenants[':id'].policies.$post({ param, json: { policy: { floor: 0.6, budget: 2 } } });
  const { version } = await draft.json();
  await admin.tenants[':id'].policies[':version'].activate.$post({ param: { ...param, version }, json: {} }, any);
  for (const [id, data] of [
    ['left', 'keep'],
    ['gone', 'erase'],
  ] as const) {
    await admin.tenants.$post({ json: { id, name: id, policy: { floor: 0, budget: null } } });
    await admin.tenants[':id'].$delete({ param: { id }, query: { data } }, any);
  }
});
afterAll(() => Promise.all([first.dispose(), second.dispose()]));

const backup = async ({ edge }: EdgeUnderTest) => (await fetch(`${edge.url}/admin/v1/export`, { headers })).text();
const restore = ({ edge }: EdgeUnderTest, body: string) =>
  fetch(`${edge.url}/admin/v1/import`, { method: 'POST', headers, body });
async function restored(under: EdgeUnderTest, body: string): Promise<ImportAnswer> {
  const answer = await restore(under, body);
  expect(answer.status, await answer.clone().text()).toBe(200);
  return (await answer.json()) as ImportAnswer;
}
/** All lines but the head, which has a time. */
const content = (text: string) => text.split('\n').slice(1).sort();
const status = async ({ edge }: EdgeUnderTest, bearer: string) =>
  (await fetch(`${edge.url}/v1/models`, { headers: { authorization: `Bearer ${bearer}` } })).status;

test('a restored edge is the same edge: keys, policies, history, plans and whole audit logs', async () => {
  const lines = await backup(first);
  expect(lines).not.toContain(key);
  expect(await restored(second, lines)).toEqual({
    plans: { restored: 1, unchanged: 0 },
    tenants: { restored: 5, unchanged: 0 },
  });
  expect(content(await backup(second))).toEqual(content(lines));
  expect(await Promise.all([key, 'pk-demo-strict'].map((bearer) => status(second, bearer)))).toEqual([200, 200]);
  const acme = { param: { id: 'acme' } };
  const read = async (under: EdgeUnderTest) => (await adminOf(under).tenants[':id'].$get(acme)).json();
  expect(await read(second)).toEqual(await read(first));
  const verdict = await (await adminOf(second).tenants[':id'].audit.verify.$get(acme)).json();
  expect(verdict).toMatchObject({ valid: true, entries: 4 });
  const rollback = await adminOf(second).tenants[':id'].rollback.$post(acme, any);
  expect(await rollback.json()).toMatchObject({ policy: { floor: 0.4 } });
  await adminOf(second).tenants[':id'].policies[':version'].activate.$post(
    { param: { id: 'acme', version: (await read(first)).policy_version }, json: {} },
    any,
  );
  const json = { id: 'gone', name: 'x', policy: { floor: 0, budget: null } };
  expect((await adminOf(second).tenants.$post({ json })).status).toBe(409);
});

test('restoring again changes nothing, and restoring over later changes takes them back and says so', async () => {
  const lines = await backup(first);
  expect(await restored(first, lines)).toEqual({
    plans: { restored: 0, unchanged: 1 },
    tenants: { restored: 0, unchanged: 5 },
  });
  const param = { id: 'demo-open' };
  await adminOf(first).tenants[':id'].$patch({ param, json: { name: 'Changed' } }, any);
  await adminOf(first).tenants[':id'].$delete({ param: { id: 'demo-strict' }, query: { data: 'keep' } }, any);
  expect(await status(first, 'pk-demo-strict')).toBe(401);
  expect(await restored(first, lines)).toMatchObject({ tenants: { restored: 2, unchanged: 3 } });
  expect(await status(first, 'pk-demo-strict')).toBe(200);
  const after = await (await adminOf(first).tenants[':id'].$get({ param })).json();
  expect(after).toMatchObject({ name: 'Demo, open', revision: 3 });
  expect(await restored(first, lines)).toMatchObject({ tenants: { restored: 0, unchanged: 5 } });
  const { data } = await (await adminOf(first).tenants[':id'].audit.$get({ param, query: {} })).json();
  expect(data.map(({ action }) => action)).toEqual(['tenant-restore', 'tenant-change', 'tenant-put']);
  const verdict = await (await adminOf(first).tenants[':id'].audit.verify.$get({ param })).json();
  expect(verdict).toMatchObject({ valid: true });
});

test.each<[string, (lines: string[]) => string[], RegExp]>([
  ['that was cut off', (lines) => lines.slice(0, -1), /has no line of the type 'end'/],
  [
    'without a line',
    (lines) => lines.filter((line) => !line.startsWith('{"type":"tenant","id":"acme"')),
    /Lines are missing/,
  ],
  ['without its head', (lines) => lines.slice(1), /^Line 1: a backup begins/],
  ['of another kind', () => ['{"type":"plimsoll-backup","version":2,"at":""}'], /^Line 1: .*'version'/],
  [
    'in which a part of a log is missing',
    (lines) => lines.filter((line) => !line.startsWith('{"type":"history","tenant":"demo-open"')),
    /^Line \d+: The history of 'demo-open' is not whole: \d+ entries/,
  ],
  ['that is no JSON', () => ['nonsense'], /^Line 1: .*JSON/],
  ['with nothing in it', () => [], /has no line of the type 'end'/],
  [
    'in which somebody changed an audit log',
    (lines) => lines.map((line) => line.replace('"action":"tenant-put"', '"action":"tenant-get"')),
    /^Line \d+: The audit log of '[\w-]+' is damaged at entry 1/,
  ],
  [
    'in which somebody changed the policy of a plan',
    (lines) => lines.map((line) => (line.startsWith('{"type":"plan"') ? line.replace('0.1', '0.0') : line)),
    /^Line 2: The policy of the plan 'gold' is not the one that its version '[0-9a-f]{32}' stands for/,
  ],
  [
    "in which somebody changed a tenant's policy",
    (lines) => lines.map((line) => line.replace(/(\\"floor\\":)0.6/, '$10.0')),
    /^Line \d+: The text of 'acme's version '[0-9a-f]{32}' is not/,
  ],
])('a backup %s is refused', async (_name, change, message) => {
  const lines = (await backup(first)).trimEnd().split('\n');
  const answer = await restore(second, change(lines).join('\n'));
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as ErrorBody).error.message).toMatch(message);
});

test('a log that tells of another tenant is refused', async () => {
  const at = '2026-11-29T00:00:00.000Z';
  const event = { at, actor: 'operator', action: 'tenant-put', tenant: 'somebody-else', detail: '{}' };
  const document = canonicalPolicy(Policy.parse({ floor: 0.5, budget: null }));
  const version = await policyVersion(document);
  const state = {
    ...{ name: 'B', plan: null, policy_version: version, activation: 1, canary: null, suspended: null },
    ...{ deleted_at: null, created_at: at, updated_at: at, revision: 1, keys: [] },
  };
  const activations = [{ seq: 1, at, actor: 'operator', version, share: 1, previous: null }];
  const policies = [{ version, document, created_at: at }];
  const audit = await chainEvents(NO_AUDIT, [event]);
  const lines = [
    { type: 'plimsoll-backup', version: 1, at },
    { type: 'history', tenant: 'borrowed', audit, activations },
    { type: 'tenant', id: 'borrowed', state, policies, activations: 1, audit: { seq: 1, hash: audit[0]!.hash } },
    { type: 'end', plans: 0, tenants: 1 },
  ];
  const answer = await restore(second, lines.map((line) => JSON.stringify(line)).join('\n'));
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as ErrorBody).error.message).toMatch(
    /^Line 2: .*entry 1 is about 'somebody-else', not about 'borrowed'/,
  );
});

test('an id that an import buries is in the log of the deployment', async () => {
  const lines = [
    { type: 'plimsoll-backup', version: 1, at: '' },
    { type: 'erased', id: 'buried' },
    { type: 'end', plans: 0, tenants: 0 },
  ];
  const body = lines.map((line) => JSON.stringify(line)).join('\n');
  for (let i = 0; i < 2; i++) await restored(second, body);
  const { data } = await (await adminOf(second).audit.$get({ query: {} })).json();
  expect(data.filter(({ tenant }) => tenant === 'buried')).toMatchObject([
    { action: 'tenant-bury', actor: 'operator' },
  ]);
  expect(await (await adminOf(second).audit.verify.$get({ query: {} })).json()).toMatchObject({ valid: true });
});

test('a backup may be longer than any other body', async () => {
  const event = { at: '2026-11-29T00:00:00.000Z', actor: 'operator', action: 'tenant-put', tenant: 'long' };
  const detail = JSON.stringify({ name: 'x'.repeat(1_000) });
  const audit = await chainEvents(NO_AUDIT, Array(1_500).fill({ ...event, detail }));
  const at = event.at;
  const document = canonicalPolicy(Policy.parse({ floor: 0.5, budget: null }));
  const version = await policyVersion(document);
  const state = {
    ...{ name: 'Long', plan: null, policy_version: version, activation: 1, canary: null, suspended: null },
    ...{ deleted_at: null, created_at: at, updated_at: at, revision: 1_500, keys: [] },
  };
  const activations = [{ seq: 1, at, actor: 'operator', version, share: 1, previous: null }];
  const policies = [{ version, document, created_at: at }];
  const { seq, hash } = audit.at(-1)!;
  const lines = [
    { type: 'plimsoll-backup', version: 1, at },
    { type: 'history', tenant: 'long', audit: audit.slice(0, 1_000), activations },
    { type: 'history', tenant: 'long', audit: audit.slice(1_000), activations: [] },
    { type: 'tenant', id: 'long', state, policies, activations: 1, audit: { seq, hash } },
    { type: 'end', plans: 0, tenants: 1 },
  ].map((line) => JSON.stringify(line));
  const body = lines.join('\n');
  expect(body.length).toBeGreaterThan(1024 * 1024);
  expect(await restored(second, body)).toMatchObject({ tenants: { restored: 1 } });
  const verdict = await (await adminOf(second).tenants[':id'].audit.verify.$get({ param: { id: 'long' } })).json();
  expect(verdict).toMatchObject({ valid: true, entries: 1_500 });
  // It comes out in parts as well, so that no line has more than a reader takes.
  const written = (await backup(second)).split('\n').filter((line) => line.includes('"tenant":"long"'));
  expect(written.map((line) => JSON.parse(line).audit.length)).toEqual([500, 500, 500]);
  // And all of it is in the log of the deployment.
  const whole = await (await adminOf(second).audit.verify.$get({ query: {} })).json();
  expect(whole.entries).toBeGreaterThan(1_500);
});

test('only the operator may take a backup or restore one', async () => {
  const owner = await (
    await adminOf(first).tenants[':id'].keys.$post({ param: { id: 'acme' }, json: { scopes: ['admin'] } })
  ).json();
  for (const bearer of ['pk-demo-open', owner.key]) {
    for (const [method, route] of [
      ['GET', 'export'],
      ['POST', 'import'],
    ] as const) {
      const answer = await fetch(`${first.edge.url}/admin/v1/${route}`, {
        method,
        headers: { authorization: `Bearer ${bearer}` },
      });
      expect(answer.status).toBe(401);
    }
  }
});
