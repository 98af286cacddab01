/** What clients talk to on a local stack, in front of workerd. */
import http, { type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type EdgeUnderTest, eventually, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { type Front, startFront } from './keep-alive-front.ts';

let under: EdgeUnderTest;
let front: Front;
beforeAll(async () => {
  under = await startEdgeUnderTest();
  front = await startFront({ host: '127.0.0.1', port: 0, upstream: under.edge.url });
});
afterAll(async () => {
  await front.close();
  await under.dispose();
});

const KEY = { authorization: 'Bearer pk-demo-balanced' };
/** workerd ends an idle connection after 5 s. */
const LONGER_THAN_WORKERD_MS = 6_500;

type Sent = { method?: string; path?: string; headers?: Record<string, string>; body?: string; agent?: http.Agent };

function send({ method = 'POST', path = '/v1/chat/completions', headers = KEY, body, agent }: Sent) {
  return new Promise<{ answer: IncomingMessage; text: string; socket: Socket }>((resolve, reject) => {
    const request = http.request(
      `${front.url}${path}`,
      { method, headers, ...(agent && { agent }) },
      async (answer) => {
        const { socket } = request;
        const pieces: Buffer[] = await Array.fromAsync(answer);
        resolve({ answer, text: Buffer.concat(pieces).toString(), socket: socket! });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

test('says how long a connection is kept, and takes a POST on one that workerd would have closed', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const first = await send({ agent, body: JSON.stringify(ask('Hi')) });
  expect(first.answer.headers['keep-alive']).toBe('timeout=75');
  expect(first.answer.headers.connection).toBe('keep-alive');
  await sleep(LONGER_THAN_WORKERD_MS);
  const second = await send({ agent, body: JSON.stringify(ask('Hi')) });
  expect(second.answer.statusCode).toBe(200);
  expect(second.socket).toBe(first.socket);
  agent.destroy();
});

test('passes everything else on as it is', async () => {
  const direct = await fetch(`${under.edge.url}/v1/models`, { headers: KEY });
  const passed = await fetch(`${front.url}/v1/models`, { headers: KEY });
  expect(await passed.json()).toEqual(await direct.json());
  const OWN = ['keep-alive', 'connection', 'date', 'transfer-encoding', 'content-length', 'x-request-id'];
  const names = ({ headers }: Response) => [...headers.keys()].filter((name) => !OWN.includes(name)).sort();
  expect(names(passed)).toEqual(names(direct));

  const wrong = await send({ method: 'PUT', body: '{}' });
  expect([wrong.answer.statusCode, wrong.answer.headers.allow]).toEqual([405, 'POST']);
  const chunked = await send({ headers: { ...KEY, 'transfer-encoding': 'chunked' }, body: JSON.stringify(ask('Hi')) });
  expect(chunked.answer.statusCode).toBe(200);
  const head = await send({ method: 'HEAD', path: '/healthz' });
  expect([head.answer.statusCode, head.text]).toEqual([200, '']);
});

test('keeps the Host header, so a foreign name is still refused', async () => {
  const { answer } = await send({ method: 'GET', path: '/healthz', headers: { host: 'evil.example' } });
  expect(answer.statusCode).toBe(403);
});

test('gives a stream as it comes, and its end', async () => {
  const { answer, text } = await send({ body: JSON.stringify({ ...ask('Hi'), stream: true }) });
  expect(answer.headers['content-type']).toContain('text/event-stream');
  expect(text).toMatch(/data: \[DONE\]\n\n$/);
});

test('a client that leaves is gone for the edge too', async () => {
  const backend = under.backends[0]!;
  const before = backend.aborted;
  backend.behaviour = 'answer-forever';
  const request = http.request(`${front.url}/v1/chat/completions`, { method: 'POST', headers: KEY });
  request.on('error', () => undefined);
  const begun = new Promise<void>((resolve) => {
    request.on('response', (answer) => answer.on('error', () => undefined).once('data', () => resolve()));
  });
  request.end(JSON.stringify({ ...ask('Hi'), stream: true }));
  await begun;
  request.destroy();
  await eventually(
    () => backend.aborted,
    (count) => count > before,
    60_000,
  );
  backend.behaviour = 'answer';
});

test('a body that is too large gets an answer that says so, or says what was wrong before it', async () => {
  const body = JSON.stringify(ask('x'.repeat(6 * 1024 * 1024)));
  const wrong = { authorization: 'Bearer pk-wrong' };
  const seen = new Set<number | undefined>();
  for (let i = 0; i < 10; i++) {
    for (const framing of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      const { answer, text } = await send({ headers: { ...wrong, ...framing }, body });
      seen.add(answer.statusCode);
      const codes = ['invalid_api_key', 'request_too_large'];
      expect(codes).toContain((JSON.parse(text) as { error: { code: string } }).error.code);
    }
  }
  expect([...seen].filter((status) => status !== 401 && status !== 413)).toEqual([]);
});

test('a connection goes on after a body that was too large', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const body = JSON.stringify(ask('x'.repeat(6 * 1024 * 1024)));
  for (let i = 0; i < 4; i++) {
    expect([401, 413]).toContain(
      (await send({ agent, headers: { authorization: 'Bearer pk-wrong' }, body })).answer.statusCode,
    );
    expect((await send({ agent, method: 'GET', path: '/healthz' })).answer.statusCode).toBe(200);
  }
  agent.destroy();
});

test('answers 503, which clients send again, while nothing is behind it', async () => {
  const alone = await startFront({ host: '127.0.0.1', port: 0, upstream: 'http://127.0.0.1:1' });
  const answer = await fetch(`${alone.url}/v1/chat/completions`, { method: 'POST', headers: KEY, body: '{}' });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await answer.json()).toMatchObject({ error: { code: 'backend_unavailable', type: 'server_error' } });
  await alone.close();
});
