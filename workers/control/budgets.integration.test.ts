/** What a tenant's own key sees of its spending: its own usage and budgets, and nobody else's. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATIONS } from '../openapi/document.ts';
import {
  ask,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  testKey,
} from '../testing/edge-under-test.ts';

/** The scripted answer to 'Hi', with its prompt. */
const COST = 14;
let under: EdgeUnderTest;
let reader: string;
beforeAll(async () => {
  under = await startEdgeUnderTest({
    limits: { acme: { tokens_per_day: 100 }, other: {} },
    overrides: {
      ALERT_WEBHOOK_URL: 'http://127.0.0.1:9/alerts',
      ALERT_WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
      ALERT_SHARES: '0.1,1',
    },
  });
  const plan = { name: 'Small', policy: { limits: { tokens_per_month: 1000 } } };
  await call('/plans/small', OPERATOR_KEY, { method: 'PUT', body: plan });
  const patch = { method: 'PATCH', body: { plan: 'small' }, headers: { 'if-match': '*' } };
  expect((await call('/tenants/acme', OPERATOR_KEY, patch)).status).toBe(200);
  const made = await call('/tenants/acme/keys', OPERATOR_KEY, { method: 'POST', body: { id: 'r', scopes: ['read'] } });
  reader = ((await made.json()) as { key: string }).key;
  for (const key of ['acme', 'acme', 'other'])
    await (await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), max_tokens: 20 }, testKey(key))).text();
});
afterAll(() => under.dispose());

function call(
  path: string,
  key: string,
  { method = 'GET', body, headers = {} }: { method?: string; body?: object; headers?: Record<string, string> } = {},
) {
  return fetch(`${under.edge.url}/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
}
const read = async (path: string, key = reader) => (await call(path, key)).json();

test('its budgets say who set each limit, what is left, and which alerts there were', async () => {
  const day = new Date().toISOString().slice(0, 10);
  await expect
    .poll(async () => ((await read('/tenants/acme/budgets')) as { alerts: object[] }).alerts.length, {
      timeout: 600_000,
    })
    .toBe(1);
  const said = await read('/tenants/acme/budgets');
  expect(OPERATIONS['GET /admin/v1/tenants/:id/budgets']?.answers['application/json']?.safeParse(said).error).toBe(
    undefined,
  );
  const spent = { charged: 2 * COST, settled: 2 * COST };
  expect(said).toMatchObject({
    limits: { tokens_per_day: 100, tokens_per_month: 1000, requests_per_minute: null },
    budgets: [
      { period: 'day', window: day, limit: 100, set_by: 'tenant', ...spent, left: 100 - 2 * COST },
      { period: 'month', window: day.slice(0, 7), limit: 1000, set_by: 'plan', ...spent, left: 1000 - 2 * COST },
    ],
    alert_shares: [0.1, 1],
    alerts: [{ window: day, share: 0.1, limit: 100, set_by: 'tenant' }],
  });
  const free = await read('/tenants/other/budgets', OPERATOR_KEY);
  expect(free).toMatchObject({ budgets: [{ limit: null, set_by: null, left: null, settled: COST }, {}] });
});

test('its usage is its own, as JSON and as CSV', async () => {
  const rows = async (key = reader) =>
    ((await read('/tenants/acme/usage', key)) as { data: { tenant: string; requests: number }[] }).data;
  await expect.poll(async () => (await rows()).map(({ requests }) => requests), { timeout: 600_000 }).toEqual([2]);
  expect((await rows()).every(({ tenant }) => tenant === 'acme')).toBe(true);
  expect(await rows(OPERATOR_KEY)).toEqual(await rows());
  const csv = await call('/tenants/acme/usage?format=csv', reader);
  expect(csv.headers.get('content-disposition')).toContain('.csv');
  expect((await csv.text()).trim().split('\n')).toHaveLength(2);
});

test('it sees nothing of another tenant, nor of all, and a key for inference alone sees nothing', async () => {
  for (const route of ['usage', 'budgets']) {
    expect((await call(`/tenants/other/${route}`, reader)).status).toBe(404);
    expect((await call(`/tenants/nobody/${route}`, OPERATOR_KEY)).status).toBe(404);
    expect((await call(`/tenants/acme/${route}`, testKey('acme'))).status).toBe(403);
  }
  expect((await call('/usage', reader)).status).toBe(401);
  expect((await call('/tenants/acme/usage?tenant=other', reader)).status).toBe(400);
});
