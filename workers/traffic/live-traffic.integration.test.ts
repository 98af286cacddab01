/** The latest requests, for whoever watches: from the answer to the admin API. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type * as z from 'zod';
import type { TrafficAnswer } from '../control/traffic.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import type { LiveTrafficContract } from '../objects/live-traffic-contract.ts';
import { OPERATIONS } from '../openapi/document.ts';
import { ask, type EdgeUnderTest, OPERATOR_KEY, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

type Traffic = z.infer<typeof TrafficAnswer>;

const HANG_MS = 600_000;
/** workerd evicts an object that was called by nobody for 10 s, and looks every 10 s. */
const LONGER_THAN_IDLE_MS = 25_000;
/** Cloudflare may put an object out of memory that was called by nobody for so long. */
const EVICTED_MS = 10_000;
/** What nobody who watches may see. */
const PROMPT = 'MARKED-PROMPT-52b1';

let under: EdgeUnderTest;
let reader: string;
beforeAll(async () => {
  under = await startEdgeUnderTest();
  const made = await admin('/tenants/demo-open/keys', { method: 'POST', body: '{"id":"reader","scopes":["read"]}' });
  reader = ((await made.json()) as { key: string }).key;
});
afterAll(() => under.dispose());

const admin = (path: string, { key = OPERATOR_KEY, ...init }: RequestInit & { key?: string } = {}) =>
  fetch(`${under.edge.url}/admin/v1${path}`, { ...init, headers: { authorization: `Bearer ${key}`, 'if-match': '*' } });
const read = async (path = '/traffic', key = OPERATOR_KEY) => (await (await admin(path, { key })).json()) as Traffic;
const chat = async (body: object, key: string) => (await post(under.edge, '/v1/chat/completions', body, key)).text();
/** Waits for as many requests as that. */
async function seen(count: number, path = '/traffic', key = OPERATOR_KEY): Promise<Traffic> {
  await expect.poll(async () => (await read(path, key)).data.length, { timeout: HANG_MS, interval: 100 }).toBe(count);
  return read(path, key);
}

test('a request shows its line, its weights and how it ended, and nothing that was said', async () => {
  // Somebody watches, so isolates tell within a second.
  const { cursor } = await read();
  await chat({ ...ask(PROMPT), stream: true }, 'pk-demo-open');
  await chat(ask(`${PROMPT} [[violence=0.99]]`), 'pk-demo-strict');
  await chat({ ...ask(PROMPT), model: 'nobody-serves-this' }, 'pk-demo-balanced');
  const traffic = await seen(3);
  expect(OPERATIONS['GET /admin/v1/traffic']?.answers['application/json']?.safeParse(traffic).error).toBeUndefined();
  expect(JSON.stringify(traffic)).not.toContain('MARKED');
  const of = (tenant: string) => traffic.data.find((each) => each.tenant === tenant)!;

  const open = of('demo-open');
  expect(open).toMatchObject({
    outcome: 'answered',
    status: 200,
    code: null,
    ...{ model: 'scripted', key: 'demo', route: 'POST /v1/chat/completions', backend: 'backend-0' },
    ...{ floor: 0, budget: null, finish_reason: 'stop' },
  });
  const drawn = open.weights!.reduce((sum, count) => sum + count, 0);
  expect(drawn).toBe(open.completion_tokens);
  expect(of('demo-balanced')).toMatchObject({ outcome: 'failed', status: 404, code: 'model_not_found', weights: null });
  expect(of('demo-strict').categories[0]).toMatchObject({ name: 'violence' });

  expect(await read(`/traffic?after=${traffic.cursor}`)).toMatchObject({ data: [], lost: 0 });
  expect((await read(`/traffic?after=${cursor}`)).data).toHaveLength(3);
  // Of another life of the object: what is remembered is told again.
  expect((await read('/traffic?after=00000000.99')).data).toHaveLength(3);
  expect((await read('/traffic?tenant=demo-strict')).data.map(({ tenant }) => tenant)).toEqual(['demo-strict']);
});

test('a tenant’s key sees its own requests and nobody else’s', async () => {
  const own = await seen(1, '/tenants/demo-open/traffic', reader);
  expect(own.data.map(({ tenant }) => tenant)).toEqual(['demo-open']);
  expect((await admin('/traffic', { key: reader })).status).toBe(401);
  expect((await admin('/tenants/demo-strict/traffic', { key: reader })).status).toBe(404);
  expect((await admin('/tenants/demo-open/traffic', { key: 'pk-demo-open' })).status).toBe(403);
  expect((await admin('/traffic?after=1')).status).toBe(400);
});

test('a tenant’s key sees no number that grows with what the others ask', async () => {
  const path = '/tenants/demo-open/traffic';
  const { cursor: mine, data } = await read(path, reader);
  const { cursor } = await read();
  await chat(ask('Hi'), 'pk-demo-balanced');
  await seen(1, `/traffic?after=${cursor}`);
  expect(await read(path, reader)).toMatchObject({ cursor: mine, data });
  expect(data.map(({ seq }) => seq)).toEqual(data.map((_, index) => index + 1));
});

test('what was shown is still there after a time in which nobody asked and nobody watched', async () => {
  const before = await read();
  await chat(ask('Hi'), 'pk-demo-open');
  const { since } = await seen(1, `/traffic?after=${before.cursor}`);
  await sleep(LONGER_THAN_IDLE_MS);
  const after = await read(`/traffic?after=${before.cursor}`);
  expect(after).toMatchObject({ since, data: [{ tenant: 'demo-open' }] });
});

test('while nobody watches, one busy isolate alone tells often enough that the object stays in memory', async () => {
  const namespace = await under.edge.miniflare.getDurableObjectNamespace('LIVE_TRAFFIC', 'plimsoll-edge');
  // Not the one that the tests above watch.
  const unwatched = namespace.getByName('unwatched') as unknown as LiveTrafficContract;
  const everyMs = await unwatched.tell({ isolate: 'alone', tenants: [], lost: 0 });
  // What it tells is on its way for a while, and requests do not end just then.
  expect(everyMs).toBeLessThanOrEqual(EVICTED_MS / 2);
});

test('a tenant that is erased is gone from the traffic too', async () => {
  const tenant = '/tenants/erased';
  const keys = [{ id: 'web', sha256: sha256('pk-erased') }];
  const body = JSON.stringify({ name: 'Erased', policy: { floor: 0, budget: null }, keys });
  expect((await admin(tenant, { method: 'PUT', body })).ok).toBe(true);
  await chat(ask('Hi'), 'pk-erased');
  await seen(1, '/traffic?tenant=erased');
  expect((await admin(`${tenant}?data=erase`, { method: 'DELETE' })).status).toBe(200);
  expect((await read('/traffic?tenant=erased')).data).toEqual([]);
  expect((await read()).data.filter((each) => each.tenant === 'erased')).toEqual([]);
});

test('a request tells whether the canary has decided, also with a key that has a policy of its own', async () => {
  const tenant = '/tenants/tried';
  const send = (path: string, body: object, method = 'POST') =>
    fetch(`${under.edge.url}/admin/v1${tenant}${path}`, {
      method,
      headers: { authorization: `Bearer ${OPERATOR_KEY}`, 'if-match': '*' },
      body: JSON.stringify(body),
    });
  const keys = [
    { id: 'plain', sha256: sha256('pk-tried') },
    { id: 'strict', sha256: sha256('pk-tried-strict'), policy: { floor: 0.5 } },
  ];
  await send('', { name: 'Tried', policy: { floor: 0.2, budget: null }, keys }, 'PUT');
  const drafted = await send('/policies', { policy: { floor: 0.8, budget: null } });
  const { version } = (await drafted.json()) as { version: string };
  expect((await send(`/policies/${version}/activate`, { share: 0.5 })).status).toBe(200);
  const prompts = Array.from({ length: 12 }, (_, index) => `Question ${index}`);
  for (const key of ['pk-tried', 'pk-tried-strict']) {
    for (const prompt of prompts) await chat(ask(prompt), key);
  }
  const { data } = await seen(24, '/tenants/tried/traffic');
  expect(new Set(data.map(({ canary, key, floor }) => `${key} ${canary} ${floor}`))).toEqual(
    new Set(['plain false 0.2', 'plain true 0.8', 'strict false 0.5', 'strict true 0.8']),
  );
});

test('a client that leaves is shown as one, with the tokens that were drawn for it', async () => {
  under.backends[0]!.behaviour = 'answer-forever';
  const before = await read();
  const leaves = new AbortController();
  const answer = await fetch(`${under.edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer pk-demo-open', 'content-type': 'application/json' },
    body: JSON.stringify({ ...ask('Hi'), stream: true }),
    signal: leaves.signal,
  });
  const stream = answer.body!.getReader();
  await stream.read();
  leaves.abort();
  await stream.read().catch(() => undefined);
  const { data } = await seen(1, `/traffic?after=${before.cursor}`);
  expect(data[0]).toMatchObject({ tenant: 'demo-open', status: 200, outcome: 'left', finish_reason: null });
  expect(data[0]!.weights?.some((count) => count > 0)).toBe(true);
  under.backends[0]!.behaviour = 'answer';
});

test('a deployment without the object says that nobody can watch, and answers all the same', async () => {
  const without = await startEdgeUnderTest({ without: ['LIVE_TRAFFIC'] });
  try {
    expect((await post(without.edge, '/v1/chat/completions', ask('Hi'))).status).toBe(200);
    const refused = await fetch(`${without.edge.url}/admin/v1/traffic`, {
      headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    });
    expect([refused.status, await refused.text()]).toEqual([404, expect.stringContaining('LIVE_TRAFFIC')]);
  } finally {
    await without.dispose();
  }
});
