import { describe, expect, test } from 'vitest';
import { until } from '../engine/testing/engine-contract.ts';
import { call, framesOf, generateRequest } from './testing/backend-client.ts';
import { idle, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();

describe('a client that leaves', () => {
  test('in the middle of an answer frees its rows', async () => {
    const { url, engine } = await serve({ stepMs: 5, contextLength: 5000 });
    const abort = new AbortController();
    const response = await call(url, generateRequest({ max_tokens: null }), { signal: abort.signal });
    const reading = (async () => {
      for await (const frame of framesOf(response)) if (frame.type === 'token') abort.abort();
    })();
    await expect(reading).rejects.toThrow(/abort/);
    await idle(engine);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/request_cancelled_total\{[^}]*\} 1\n/);
  });

  test('without reading what it was sent frees them too', async () => {
    const { url, engine } = await serve({ stepMs: 1, contextLength: 5000 });
    const abort = new AbortController();
    await call(url, generateRequest({ max_tokens: null }), { signal: abort.signal });
    await until(() => engine.stats().running === 1);
    abort.abort();
    await idle(engine);
  });

  test('while it waits for a place leaves the queue', async () => {
    const { url, engine } = await serve({ stepMs: 5, contextLength: 5000, limits: { maxRows: 2 } });
    const first = new AbortController();
    const second = new AbortController();
    // We keep a reference, because an unreferenced response is garbage-collected and its connection
    // closed.
    const held = [
      await call(url, generateRequest({ max_tokens: null }), { signal: first.signal }),
      await call(url, generateRequest({ max_tokens: null }), { signal: second.signal }),
    ];
    await until(() => engine.stats().waiting === 1);
    second.abort();
    await until(() => engine.stats().waiting === 0);
    expect(engine.stats().running).toBe(1);
    expect(held).toHaveLength(2);
    first.abort();
    await idle(engine);
  });
});
