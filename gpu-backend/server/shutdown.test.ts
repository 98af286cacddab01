import { describe, expect, test } from 'vitest';
import { until } from '../engine/testing/engine-contract.ts';
import { allFrames, call, generateRequest } from './testing/backend-client.ts';
import { endOf, errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();

describe('shutting down', () => {
  test('lets a running answer finish and accepts no new requests', async () => {
    const { backend, url } = await serve({ stepMs: 5, graceMs: 5000 });
    const answer = await call(url, generateRequest({ max_tokens: 30 }));
    const closing = backend.close();
    expect(endOf(await allFrames(answer)).type).toBe('end');
    await closing;
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('says that it drains until the last answer has ended: not ready, but alive', async () => {
    const { backend, url, engine } = await serve({ stepMs: 5, graceMs: 60_000, contextLength: 5000 });
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

  test('ends at once if nothing runs', async () => {
    const { backend, url } = await serve({ graceMs: 600_000 });
    await fetch(`${url}/healthz`);
    await backend.close();
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('finishes reading a prompt that is half read, and then its answer', async () => {
    const { backend, url, engine } = await serve({ stepMs: 2, graceMs: 60_000, limits: { maxPrefillTokens: 4 } });
    const answer = await call(url, generateRequest({ max_tokens: 5 }));
    await until(() => engine.stats().running === 1);
    const closing = backend.close();
    expect(endOf(await allFrames(answer)).usage.completion_tokens).toBe(5);
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
