/** Usage from the answer to the export: account, queue and D1 as they are. */
import { csvParse } from 'd3-dsv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addUsage, forgetRequests, readUsage } from '../account/usage-table.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import type { UsageDatabase } from '../objects/usage-database.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  testKey,
} from '../testing/edge-under-test.ts';
import { adminClient } from './admin-client.ts';

type Row = Record<string, string | number>;
let under: EdgeUnderTest;
let database: UsageDatabase;
beforeAll(async () => {
  under = await startEdgeUnderTest({ limits: { limited: { tokens_per_day: 10_000 } } });
  database = await under.edge.miniflare.getD1Database('USAGE_DB');
});
afterAll(() => under.dispose());

const today = () => new Date().toISOString().slice(0, 10);
const get = (query: string, { edge } = under) =>
  fetch(`${edge.url}/admin/v1/usage${query}`, { headers: { authorization: `Bearer ${OPERATOR_KEY}` } });
const rowsOf = async (query: string) => ((await (await get(query)).json()) as { data: Row[] }).data;
async function usageOf(query: string, requests: number): Promise<Row[]> {
  for (let tries = 0; ; tries++) {
    const rows = await rowsOf(query);
    const arrived = rows.reduce((sum, row) => sum + Number(row.requests), 0);
    if (arrived >= requests || tries > 200) return rows;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const YESTERDAY = new Date(Date.now() - 24 * 60 * 60_000).toISOString().slice(0, 10);
const message = (request: string, tokens: number, revision = 2) => ({
  tenant: 'acme',
  events: [
    {
      request,
      key: 'first',
      model: 'scripted',
      day: YESTERDAY,
      prompt_tokens: tokens,
      completion_tokens: 2 * tokens,
      charged_tokens: 3 * tokens,
      revision,
    },
  ],
});
const yesterday = async () =>
  (await readUsage(database, { from: YESTERDAY, to: YESTERDAY, tenant: 'acme' })).map(
    ({ requests, prompt_tokens, completion_tokens, charged_tokens }) => [
      requests,
      prompt_tokens,
      completion_tokens,
      charged_tokens,
    ],
  );

test('each answer is in the books of its day, tenant, key and model, with limits and without', async () => {
  for (const key of ['pk-demo-open', testKey('limited'), testKey('limited')]) {
    await (await post(under.edge, '/v1/chat/completions', ask('Hi'), key)).text();
  }
  const rows = await usageOf('', 3);
  const row = { day: today(), model: 'scripted' };
  expect(rows).toEqual([
    {
      ...row,
      tenant: 'demo-open',
      key: 'demo',
      requests: 1,
      prompt_tokens: 1,
      completion_tokens: 13,
      charged_tokens: 14,
    },
    {
      ...row,
      tenant: 'limited',
      key: 'main',
      requests: 2,
      prompt_tokens: 2,
      completion_tokens: 26,
      charged_tokens: 28,
    },
  ]);
  expect(await rowsOf(`?tenant=demo-open&from=${today()}&to=${today()}`)).toEqual(rows.slice(0, 1));
  expect(await rowsOf('?from=2020-01-01&to=2020-12-31')).toEqual([]);

  const csv = await get('?format=csv');
  expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
  const text = await csv.text();
  expect(csvParse(text).map((each) => ({ ...each }))).toEqual(
    rows.map((each) => Object.fromEntries(Object.entries(each).map(([name, value]) => [name, String(value)]))),
  );
  expect(text.split('\n')[0]).toBe('day,tenant,key,model,requests,prompt_tokens,completion_tokens,charged_tokens');
});

test('what a tenant has spent is erased with it, and what comes later is not kept', async () => {
  const key = testKey('fleeting');
  const json = {
    name: 'x',
    policy: { floor: 0, budget: null, limits: { tokens_per_day: 10_000 } },
    keys: [{ id: 'main', sha256: sha256(key) }],
  };
  const admin = adminClient(under.edge.url, OPERATOR_KEY).tenants[':id'];
  const param = { id: 'fleeting' };
  await admin.$put({ param, json });
  await (await post(under.edge, '/v1/chat/completions', ask('Hi'), key)).text();
  expect(await usageOf('?tenant=fleeting', 1)).toHaveLength(1);
  const rows = async (table: string) => {
    const call = { tenant: 'fleeting', call: 'rows', argument: `SELECT * FROM ${table}` };
    const answer = await fetch(`${under.edge.url}/testing/account`, { method: 'POST', body: JSON.stringify(call) });
    return answer.json();
  };
  expect(await rows('charges')).toHaveLength(1);
  const removed = await admin.$delete({ param, query: { data: 'erase' } }, { headers: { 'if-match': '*' } });
  expect(removed.status).toBe(200);
  for (const table of ['charges', 'windows', 'idempotency', 'outbox', 'alerts']) {
    expect(await rows(table), table).toEqual([]);
  }
  expect(await rowsOf('?tenant=fleeting')).toEqual([]);
  const late = { ...message('late-one', 10), tenant: 'fleeting' };
  await addUsage([late], database);
  const { results } = await database.prepare("SELECT * FROM usage_requests WHERE tenant = 'fleeting'").all();
  expect([results, await rowsOf(`?tenant=fleeting&from=${YESTERDAY}`)]).toEqual([[], []]);
});

test('a message that is delivered twice counts once', async () => {
  const queue = await under.edge.miniflare.getQueueProducer('USAGE_QUEUE');
  for (const request of ['a', 'b', 'a', 'a']) await queue.send(message(request, 10));
  await queue.send(message('last', 1));
  for (let tries = 0; tries < 60 && (await yesterday())[0]?.[0] !== 3; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await yesterday()).toEqual([[3, 21, 42, 63]]);
});

test('what a late settlement corrects is corrected, in whatever order it arrives', async () => {
  const [[before = 0, prompt = 0] = []] = await yesterday();
  await addUsage([message('late', 100, 1)], database);
  await addUsage([message('late', 5, 2)], database);
  await addUsage([message('late', 100, 1)], database);
  await addUsage([message('later', 7, 2), message('later', 100, 1)], database);
  expect((await yesterday())[0]?.slice(0, 2)).toEqual([before + 2, prompt + 12]);
});

test('requests are forgotten after a month, and the sums of their days are not', async () => {
  const before = await yesterday();
  await forgetRequests(database, { now: () => Date.now() + 40 * 24 * 60 * 60_000 });
  expect((await database.prepare('SELECT * FROM usage_requests').all()).results).toEqual([]);
  expect(await yesterday()).toEqual(before);
});

test.each([
  ['?from=yesterday', 'from'],
  ['?format=xml', 'format'],
  ['?tenant=../x', 'id'],
  ['?tenants=acme', 'tenants'],
])('%s is refused', async (query, param) => {
  const answer = await get(query);
  expect([answer.status, await answer.json()]).toMatchObject([400, { error: { param } }]);
});

test.each([
  ['?from=yesterday', 'from', /a day, as in 2026-11-30/],
  ['?to=2026-13-01', 'to', /a day, as in 2026-11-30/],
  ['?from=2026-11-30&to=2026-11-01', 'from', /'from' is 2026-11-30, after 'to', which is 2026-11-01/],
])('%s is refused with what would be right', async (query, param, message) => {
  const answer = await get(query);
  expect([answer.status, await answer.json()]).toMatchObject([
    400,
    { error: { param, message: expect.stringMatching(message) } },
  ]);
});

test('a key of a tenant opens no usage', async () => {
  const answer = await fetch(`${under.edge.url}/admin/v1/usage`, { headers: { authorization: 'Bearer pk-demo-open' } });
  expect(answer.status).toBe(401);
});

test('without a queue and a database all is answered as before, and the log says once that no usage is kept', async () => {
  const bare = await startEdgeUnderTest({ without: ['USAGE_QUEUE', 'USAGE_DB'] });
  try {
    for (let i = 0; i < 2; i++) {
      for (const key of ['pk-demo-open', 'pk-demo-strict']) {
        expect((await post(bare.edge, '/v1/chat/completions', ask('Hi'), key)).status).toBe(200);
      }
    }
    expect(await (await get('', bare)).json()).toMatchObject({ error: { code: 'unknown_url' } });
    await eventually(
      () => bare.log.filter((line) => line.includes('usage-not-kept')).length,
      (lines) => lines === 1,
    );
  } finally {
    await bare.dispose();
  }
});
