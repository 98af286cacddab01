import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { until } from '../engine/testing/engine-contract.ts';
import { allFrames, call, generateRequest, signed } from './testing/backend-client.ts';
import { errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();

describe('shutting down', () => {
  test('lets a running answer finish and accepts no new requests', async () => {
    const { backend, url, logged } = await serve({ stepMs: 5, graceMs: 600_000 });
    const answer = await call(url, generateRequest({ max_tokens: 30 }));
    const closing = backend.close();
    expect((await allFrames(answer)).at(-1), logged.join('\n')).toMatchObject({ type: 'end' });
    await closing;
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('says that it drains until the last answer has ended: not ready, but alive', async () => {
    const { backend, url, engine } = await serve({ stepMs: 5, graceMs: 600_000, contextLength: 5000 });
    const leaves = new AbortController();
    const answer = await call(url, generateRequest({ max_tokens: null }), { signal: leaves.signal });
    await until(() => engine.stats().running === 1);
    const closing = backend.close();
    const health = await fetch(`${url}/healthz`);
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({ status: 'draining', running: 1 });
    const alive = await fetch(`${url}/livez`);
    expect(alive.status).toBe(200);
    expect(await alive.json()).toEqual({ status: 'draining' });
    const refused = await call(url, generateRequest());
    expect(refused.headers.get('connection')).toBe('close');
    expect(await errorOf(refused)).toMatchObject({ status: 503, code: 'backend_unavailable' });
    leaves.abort();
    await answer.text().catch(() => undefined);
    await closing;
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
  });

  test('refuses a request whose body was half sent, and listens until it has said so', async () => {
    const { backend, url, engine } = await serve({ graceMs: 600_000 });
    const { text, headers } = await signed(generateRequest());
    const half = request(`${url}/v1/generate`, {
      method: 'POST',
      headers: { ...headers, 'content-length': text.length, expect: '100-continue' },
    });
    const response = once(half, 'response');
    half.flushHeaders();
    // The backend says it once it has begun to handle the request.
    await once(half, 'continue');
    half.write(text.slice(0, 20));
    const closing = backend.close();
    const health = await fetch(`${url}/healthz`);
    expect(await health.json()).toMatchObject({ status: 'draining', running: 0, waiting: 0 });
    half.end(text.slice(20));
    const [answer] = (await response) as [IncomingMessage];
    expect(answer).toMatchObject({ statusCode: 503, headers: { connection: 'close' } });
    expect(await json(answer)).toMatchObject({ error: { code: 'backend_unavailable' } });
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 });
    await closing;
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('ends at once if nothing runs', async () => {
    const { backend, url } = await serve({ graceMs: 600_000 });
    await fetch(`${url}/healthz`);
    await backend.close();
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('finishes reading a prompt that is half read, and then its answer', async () => {
    const { backend, url, engine, logged } = await serve({
      stepMs: 2,
      graceMs: 600_000,
      limits: { maxPrefillTokens: 4 },
    });
    const answer = await call(url, generateRequest({ max_tokens: 5 }));
    await until(() => engine.stats().running === 1);
    const closing = backend.close();
    const end = { type: 'end', usage: { completion_tokens: 5 } };
    expect((await allFrames(answer)).at(-1), logged.join('\n')).toMatchObject(end);
    await closing;
  });

  test('ends an answer that takes too long, with an error frame', async () => {
    const { backend, url } = await serve({ stepMs: 10, graceMs: 50, contextLength: 5000 });
    const answer = await call(url, generateRequest({ max_tokens: null }));
    const closing = backend.close();
    expect((await allFrames(answer)).at(-1)).toMatchObject({ type: 'error', code: 'backend_unavailable' });
    await closing;
  });

  test('does not wait for a client that has stopped reading', async () => {
    const { backend, url, engine } = await serve({ stepMs: 1, graceMs: 10, contextLength: 5000 });
    await call(url, generateRequest({ max_tokens: null }));
    await until(() => engine.stats().running === 1);
    await backend.close();
    expect(engine.alive).toBe(false);
  });
});

test('a port in use is an error, not a crash', async () => {
  const { url } = await serve();
  await expect(serve({ port: Number(new URL(url).port) })).rejects.toThrow(/EADDRINUSE/);
});
