/** The edge's own metrics: from requests and heartbeats to the page that Prometheus reads. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { directiveKey } from '#shared/protocol/directive.ts';
import { HEARTBEAT_PATH, heartbeatKey, signHeartbeat } from '#shared/protocol/heartbeat.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  ask,
  DIRECTIVE_SECRET,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import { poolReport } from '../testing/pool-report.ts';
import { readMetrics } from '../testing/read-metrics.ts';

const HANG_MS = 600_000;
const PROMPT = 'MARKED-PROMPT-91c4';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

const admin = (path: string, { key = OPERATOR_KEY, ...init }: RequestInit & { key?: string } = {}) =>
  fetch(`${under.edge.url}/admin/v1${path}`, { ...init, headers: { authorization: `Bearer ${key}`, 'if-match': '*' } });
const chat = async (body: object, key: string) => (await post(under.edge, '/v1/chat/completions', body, key)).text();

async function scrape(url = under.edge.url) {
  const answer = await fetch(`${url}/admin/v1/metrics`, { headers: { authorization: `Bearer ${OPERATOR_KEY}` } });
  const text = await answer.text();
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ]);
  const families = readMetrics(text);
  const of = (name: string, labels: Record<string, string> = {}) =>
    families[`plimsoll:${name}`]?.samples.find(({ labels: each }) =>
      Object.entries(labels).every(([label, value]) => each[label] === value),
    )?.value;
  return { text, families, of };
}

test('requests are counted by outcome, code and cache, with their tokens, and nothing says whose they were', async () => {
  const empty = await scrape();
  for (const outcome of ['answered', 'refused', 'failed', 'left'])
    expect(empty.of('edge_requests_total', { outcome })).toBe(0);
  expect(empty.of('edge_answers_total', { cache: 'hit' })).toBe(0);
  expect(empty.of('edge_requests_untold_total')).toBe(0);

  const keys = [{ id: 'web', sha256: sha256('pk-keeps') }];
  const policy = { floor: 0.2, budget: null, cache: { answers: true } };
  const put = await admin('/tenants/keeps', { method: 'PUT', body: JSON.stringify({ name: 'Keeps', policy, keys }) });
  expect(put.ok).toBe(true);
  // Somebody watches, so isolates tell within a second.
  await admin('/traffic');
  const same = { ...ask(PROMPT), temperature: 0 };
  await chat(same, 'pk-keeps');
  await chat(same, 'pk-keeps');
  await chat({ ...ask(PROMPT), stream: true }, 'pk-demo-open');
  await chat(ask(`${PROMPT} [[child_abuse=0.99]]`), 'pk-demo-strict');
  await chat({ ...ask(PROMPT), model: 'nobody-serves-this' }, 'pk-demo-balanced');
  const told = async () => {
    const { families } = await scrape();
    return families['plimsoll:edge_requests_total']?.samples.reduce((sum, { value }) => sum + value, 0);
  };
  await expect.poll(told, { timeout: HANG_MS, interval: 100 }).toBe(5);

  const { of, text, families } = await scrape();
  const { data } = (await (await admin('/traffic')).json()) as {
    data: { outcome: string; code: string | null; prompt_tokens: number | null; completion_tokens: number | null }[];
  };
  for (const outcome of ['answered', 'refused', 'failed', 'left']) {
    expect(of('edge_requests_total', { outcome })).toBe(data.filter((each) => each.outcome === outcome).length);
  }
  expect(of('edge_requests_total', { outcome: 'answered' })).toBe(3);
  expect(of('edge_request_errors_total', { code: 'model_not_found' })).toBe(1);
  expect(of('edge_request_errors_total', { code: 'policy_refused' })).toBe(1);
  expect(of('edge_answers_total', { cache: 'hit' })).toBe(1);
  expect(of('edge_answers_total', { cache: 'miss' })).toBe(1);
  expect(of('edge_answers_total', { cache: 'off' })).toBe(1);
  const sum = (field: 'prompt_tokens' | 'completion_tokens') =>
    data.reduce((total, each) => total + (each[field] ?? 0), 0);
  expect(of('edge_prompt_tokens_total')).toBe(sum('prompt_tokens'));
  expect(of('edge_completion_tokens_total')).toBe(sum('completion_tokens'));
  expect(sum('completion_tokens')).toBeGreaterThan(0);
  expect(of('edge_counting_since_timestamp_seconds')).toBeLessThanOrEqual(Date.now() / 1000);
  expect(text).not.toMatch(/MARKED|keeps|demo-/);
  for (const [name, { type, help }] of Object.entries(families)) {
    expect(help).not.toBe('');
    expect([name, type]).toEqual([name, name.endsWith('_total') ? 'counter' : 'gauge']);
  }
});

test('each backend has its state, its queue and its rows, and one that the operator drains is draining', async () => {
  const url = 'http://127.0.0.1:9';
  const key = await heartbeatKey(directiveKey(DIRECTIVE_SECRET));
  const report = poolReport(url, { load: { running: 3, waiting: 2, rows: 5 } });
  const authorization = `Bearer ${await signHeartbeat({ incarnation: 1, counter: 1, report }, key)}`;
  expect((await fetch(under.edge.url + HEARTBEAT_PATH, { method: 'POST', headers: { authorization } })).status).toBe(
    200,
  );
  // An isolate asks the backend of the settings for its health when a request comes.
  await chat(ask('Hi'), 'pk-demo-open');
  const before = await scrape();
  const labels = { backend: url, model_name: 'scripted' };
  expect(before.families['plimsoll:edge_backend_requests_running']?.samples).toEqual([{ labels, value: 3 }]);
  expect(before.of('edge_backend_requests_waiting', labels)).toBe(2);
  expect(before.of('edge_backend_rows', labels)).toBe(5);
  expect(before.of('edge_backend_max_rows', labels)).toBe(32);
  expect(before.of('edge_backend_up', labels)).toBe(1);
  expect(before.of('edge_backend_up', { backend: under.backends[0]!.url })).toBe(1);
  expect(before.of('edge_backends', { state: 'up' })).toBe(2);
  expect(before.of('edge_backends', { state: 'draining' })).toBe(0);

  await admin('/pool/drain', { method: 'POST', body: JSON.stringify({ url }) });
  const after = await scrape();
  expect(after.of('edge_backends', { state: 'up' })).toBe(1);
  expect(after.of('edge_backends', { state: 'draining' })).toBe(1);
  expect(after.of('edge_backend_up', labels)).toBe(0);
});

test('a backend of the settings, which says its load when it is asked, has its queue and its rows too', async () => {
  const asked = await startEdgeUnderTest();
  try {
    asked.backends[0]!.load = {
      ...{ running: 4, waiting: 1, rows: 6 },
      capacity: { rows: 8, waiting: 16 },
      prefixes: { queried_tokens: 0, found_tokens: 0, bytes: 0 },
    };
    const labels = { backend: asked.backends[0]!.url, model_name: 'scripted' };
    // An isolate asks for its health when the first request comes.
    expect((await post(asked.edge, '/v1/chat/completions', ask('Hi'))).status).toBe(200);
    const { of } = await scrape(asked.edge.url);
    expect(of('edge_backend_rows', labels)).toBe(6);
    expect(of('edge_backend_requests_running', labels)).toBe(4);
    expect(of('edge_backend_requests_waiting', labels)).toBe(1);
    expect(of('edge_backend_max_rows', labels)).toBe(8);
  } finally {
    await asked.dispose();
  }
});

test('only the operator reads them', async () => {
  const made = await admin('/tenants/demo-open/keys', { method: 'POST', body: '{"scopes":["read","admin"]}' });
  const { key } = (await made.json()) as { key: string };
  for (const other of [key, 'pk-demo-open', 'pk-nobodys']) {
    const answer = await admin('/metrics', { key: other });
    expect([answer.status, await answer.json()]).toMatchObject([401, { error: { code: 'invalid_api_key' } }]);
  }
  expect((await admin('/metrics', { method: 'POST' })).headers.get('allow')).toBe('GET');
});

test('a deployment that counts nothing shows its backends all the same', async () => {
  const without = await startEdgeUnderTest({ without: ['LIVE_TRAFFIC'] });
  try {
    const { families, of } = await scrape(without.edge.url);
    expect(of('edge_backends', { state: 'up' })).toBe(1);
    expect(Object.keys(families).filter((name) => name.endsWith('_total'))).toEqual([]);
  } finally {
    await without.dispose();
  }
});
