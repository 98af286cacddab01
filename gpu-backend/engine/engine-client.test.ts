import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import type { EngineInfo } from './engine.ts';
import { EngineClient } from './engine-client.ts';
import type { FromEngine, ToEngine } from './messages.ts';
import { collect, request } from './testing/engine-contract.ts';

/** A client, and the bare port of an engine that does only what the test tells it. */
async function connected() {
  const { port1: far, port2: near } = new MessageChannel();
  const closed = new Promise<void>((resolve) => near.once('close', resolve));
  const client = EngineClient.connect(near, closed);
  const post = (message: FromEngine) => far.postMessage(message);
  return { client, far, post };
}

const info: EngineInfo = {
  model: 'm',
  contextLength: 96,
  maxTokenBytes: 1,
  digest: '0'.repeat(64),
  modes: ['logits'],
  topK: null,
};

test('an engine that dies ends its answers with backend_unavailable, and no request waits for it again', async () => {
  const { client, far, post } = await connected();
  post({ type: 'ready', info });
  const engine = await client;
  far.on('message', (message: ToEngine) => {
    if (message.type !== 'submit') return;
    const stats = { running: 1, waiting: 0, rows: 2 };
    post({ type: 'news', outcomes: [{ id: message.id, events: [{ type: 'start', prompt_tokens: 4 }] }], stats });
    setTimeout(() => far.close(), 5);
  });
  await expect(collect(engine.generate(request()))).rejects.toMatchObject({ code: 'backend_unavailable' });
  await engine.closed;
  expect(engine.alive).toBe(false);
  expect(engine.stats()).toEqual({ running: 0, waiting: 0, rows: 0 });
  await expect(engine.generate(request()).next()).rejects.toMatchObject({ code: 'backend_unavailable' });
});

test('an engine that cannot start says why, and one that just ends says that', async () => {
  const failing = await connected();
  failing.post({ type: 'failed', message: 'config.json: not JSON' });
  await expect(failing.client).rejects.toThrow('config.json: not JSON');
  failing.far.close();

  const silent = await connected();
  silent.far.close();
  await expect(silent.client).rejects.toThrow('stopped before it was ready');
});

test('an answer that was aborted is cancelled at once, even if its reader looks away', async () => {
  const { client, far, post } = await connected();
  post({ type: 'ready', info });
  const engine = await client;
  const received: string[] = [];
  const cancelled = new Promise<void>((resolve) => {
    far.on('message', (message: ToEngine) => {
      received.push(message.type);
      const stats = { running: 1, waiting: 0, rows: 2 };
      if (message.type === 'submit') {
        post({ type: 'news', outcomes: [{ id: message.id, events: [{ type: 'start', prompt_tokens: 4 }] }], stats });
      } else resolve();
    });
  });
  const abort = new AbortController();
  await engine.generate(request(), { signal: abort.signal }).next();
  abort.abort();
  await cancelled;
  expect(received).toEqual(['submit', 'cancel']);
  far.close();
});
