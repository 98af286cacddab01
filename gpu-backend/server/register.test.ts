/** A backend that registers, against a small server in place of the edge. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import { importDrawSecret } from '#shared/protocol/derive-draw-key.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { HEARTBEAT_PATH, type Heartbeat, heartbeatKey, verifyHeartbeat } from '#shared/protocol/heartbeat.ts';
import { until } from '../engine/testing/engine-contract.ts';
import { SCRIPTED_EXPERTS } from '../engine/testing/scripted-engine.ts';
import { startRegistration } from './register.ts';
import { registerReport } from './register-report.ts';
import { allFrames, call, DRAW_SECRET, generateRequest, SECRET } from './testing/backend-client.ts';
import { errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();
const key = await heartbeatKey(directiveKey(SECRET));

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Hears heartbeats, and answers as told. */
async function edge(port = 0) {
  const heard: Heartbeat[] = [];
  const told = { status: 200, drain: false };
  const server = createServer((request, response) => {
    const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
    expect([request.method, request.url]).toEqual(['POST', HEARTBEAT_PATH]);
    const error = { error: { message: 'Not now.' } };
    verifyHeartbeat(token, key).then(
      (heartbeat) => {
        heard.push(heartbeat);
        response.writeHead(told.status).end(JSON.stringify(told.status === 200 ? { drain: told.drain } : error));
      },
      () => response.writeHead(401).end(JSON.stringify(error)),
    );
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return { heard, told, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('a backend that registers', () => {
  test('says what it serves and how busy it is, again and again, each time with a higher counter', async () => {
    const { heard, url: register } = await edge();
    const { url, engine } = await serve({ register, stepMs: 20 });
    const answer = await call(url, generateRequest({ max_tokens: 40 }));
    await until(() => heard.some(({ report }) => report.load.running === 1));
    expect(heard.find(({ report }) => report.load.running === 1)?.report).toEqual({
      url,
      status: 'ok',
      backend: 'b1',
      region: 'weur',
      model: 'scripted',
      bundle: '0'.repeat(64),
      draws: (await importDrawSecret(DRAW_SECRET)).id,
      experts: SCRIPTED_EXPERTS,
      modes: ['logits', 'layers'],
      serves: [],
      context_length: 96,
      max_token_bytes: 1,
      second_look: null,
      scores: false,
      tool_syntax: null,
      sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 },
      heartbeat_ms: 100,
      capacity: { rows: 32, waiting: 64 },
      load: { running: 1, waiting: 0, rows: 2 },
      prefixes: { queried_tokens: expect.any(Number), found_tokens: 0, bytes: 0 },
    });
    await allFrames(answer);
    const counters = heard.map(({ counter }) => counter);
    expect(counters).toEqual(Array.from(new Set(counters)).sort((a, b) => a - b));
    expect(new Set(heard.map(({ incarnation }) => incarnation)).size).toBe(1);
    expect(engine.alive).toBe(true);
  });

  test('says at once that it drains, goes on saying so, and leaves after its last answer', async () => {
    const { heard, url: register } = await edge();
    const { url, backend } = await serve({ register, stepMs: 10, graceMs: 600_000 });
    await until(() => heard.length > 0);
    const answer = await call(url, generateRequest({ max_tokens: 40 }));
    const closing = backend.close();
    await until(() => heard.some(({ report }) => report.status === 'draining'));
    expect((await allFrames(answer)).at(-1)?.type).toBe('end');
    await closing;
    const statuses = heard.map(({ report }) => report.status);
    expect(statuses.at(-1)).toBe('gone');
    expect(statuses.indexOf('draining')).toBe(statuses.lastIndexOf('ok') + 1);
    expect(heard.at(-1)?.report.load).toEqual({ running: 0, waiting: 0, rows: 0 });
    const before = heard.length;
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(heard.length).toBe(before);
  });

  test('serves without its edge, says once that it cannot register, and registers when the edge is back', async () => {
    const first = await edge();
    const { port } = first.server.address() as AddressInfo;
    const { url, logged } = await serve({ register: first.url });
    await until(() => logged.some((line) => line.startsWith('registered with')));
    first.server.close();
    first.server.closeAllConnections();
    await until(() => logged.some((line) => line.startsWith('cannot register')));
    expect((await allFrames(await call(url, generateRequest()))).at(-1)?.type).toBe('end');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(logged.filter((line) => line.startsWith('cannot register'))).toHaveLength(1);
    const second = await edge(port);
    await until(() => second.heard.length > 0);
    await until(() => logged.filter((line) => line.startsWith('registered with')).length === 2);
    // The same process, so its counter goes on.
    expect(second.heard[0]?.incarnation).toBe(first.heard[0]?.incarnation);
    expect(second.heard[0]!.counter).toBeGreaterThan(first.heard.at(-1)!.counter);
  });

  test('says why an edge refuses it', async () => {
    const refusing = await edge();
    refusing.told.status = 403;
    const { logged } = await serve({ register: refusing.url });
    await until(() => logged.length > 0);
    expect(logged[0]).toBe(`cannot register with ${refusing.url}, and goes on without: 403: Not now.`);
  });

  test('takes nothing new while the operator has drained it, and again afterwards', async () => {
    const { heard, told, url: register } = await edge();
    const { url } = await serve({ register, stepMs: 10 });
    const answer = await call(url, generateRequest({ max_tokens: 30 }));
    told.drain = true;
    await until(() => heard.some(({ report }) => report.status === 'draining'));
    expect(await errorOf(await call(url, generateRequest()))).toMatchObject({ code: 'backend_unavailable' });
    expect((await allFrames(answer)).at(-1)?.type).toBe('end');
    told.drain = false;
    await until(() => heard.at(-1)?.report.status === 'ok');
    expect((await allFrames(await call(url, generateRequest()))).at(-1)?.type).toBe('end');
  });

  test('signs with the key that the edge knows, while a deployment changes its secret', async () => {
    const { heard, url: register } = await edge();
    const { engine } = await serve();
    const about = { backendId: 'b1', region: null, heartbeatMs: 100, maxRows: 2, maxWaiting: 1, created: undefined };
    const report = {
      url: 'http://127.0.0.1:1',
      draws: '0',
      sampling: PLAIN_SAMPLING,
      scores: false,
      toolSyntax: null,
      serves: [],
      answers: true,
      ...about,
    };
    const registration = startRegistration({
      edge: register,
      directiveKeys: [directiveKey('a new secret, of thirty-two bytes or more'), directiveKey(SECRET)],
      heartbeatMs: 100,
      report: () => registerReport(engine, false, report),
      onDrain: () => undefined,
      log: () => undefined,
    });
    await until(() => heard.length >= 3);
    await registration.leave();
    // Only the first heartbeat was signed twice.
    expect(heard.slice(0, 3).map(({ counter }) => counter)).toEqual([2, 3, 4]);
    expect(heard.at(-1)?.report.status).toBe('gone');
  });

  test('ends without its edge', async () => {
    const { server, url: register, heard } = await edge();
    const { backend } = await serve({ register });
    await until(() => heard.length > 0);
    server.close();
    server.closeAllConnections();
    await backend.close();
  });
});
