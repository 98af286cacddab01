import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import type { EngineInfo } from './engine.ts';
import { type ClientOptions, EngineClient } from './engine-client.ts';
import { type FromEngine, NOTHING_RAN, type ToEngine } from './engine-messages.ts';
import { collect, request, until } from './testing/engine-contract.ts';

/** A client connected to a bare port, on which the test plays the engine. */
async function connected(options: ClientOptions = {}) {
  const { port1: far, port2: near } = new MessageChannel();
  const closed = new Promise<void>((resolve) => near.once('close', resolve));
  const client = EngineClient.connect(near, closed, options);
  const post = (message: FromEngine) => far.postMessage(message);
  return { client, far, post };
}

const info: EngineInfo = {
  model: 'm',
  contextLength: 96,
  maxTokenBytes: 1,
  digest: '0'.repeat(64),
  experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
  provider: null,
  vocabSize: 256,
  scores: true,
  modes: ['logits'],
  topK: null,
  proposal: 0.5,
  memory: null,
  secondLook: null,
};

test('when the engine dies, its answers end with backend_unavailable and later requests fail at once', async () => {
  const { client, far, post } = await connected();
  post({ type: 'ready', info });
  const engine = await client;
  far.on('message', (message: ToEngine) => {
    if (message.type !== 'submit') return;
    const stats = { ...NOTHING_RAN, running: 1, rows: 2 };
    post({
      type: 'news',
      outcomes: [{ id: message.id, events: [{ type: 'start', prompt_tokens: 4 }] }],
      queue: [],
      stats,
    });
    setTimeout(() => far.close(), 5);
  });
  await expect(collect(engine.generate(request()))).rejects.toMatchObject({ code: 'backend_unavailable' });
  await engine.closed;
  expect(engine.alive).toBe(false);
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  await expect(engine.generate(request()).next()).rejects.toMatchObject({ code: 'backend_unavailable' });
});

test('if the engine cannot start, the error says why; if it just exits, the error says so', async () => {
  const failing = await connected();
  failing.post({ type: 'failed', message: 'config.json: not JSON' });
  await expect(failing.client).rejects.toThrow('config.json: not JSON');
  failing.far.close();

  const silent = await connected();
  silent.far.close();
  await expect(silent.client).rejects.toThrow('stopped before it was ready');
});

test('an aborted answer is cancelled at once, even if nobody is reading it', async () => {
  const { client, far, post } = await connected();
  post({ type: 'ready', info });
  const engine = await client;
  const received: string[] = [];
  const cancelled = new Promise<void>((resolve) => {
    far.on('message', (message: ToEngine) => {
      received.push(message.type);
      const stats = { ...NOTHING_RAN, running: 1, rows: 2 };
      if (message.type === 'submit') {
        post({
          type: 'news',
          outcomes: [{ id: message.id, events: [{ type: 'start', prompt_tokens: 4 }] }],
          queue: [],
          stats,
        });
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

describe('while a run blocks the engine’s thread', () => {
  /** One request has started, and the engine then stays silent. */
  async function held(options: ClientOptions = {}) {
    const { client, far, post } = await connected(options);
    post({ type: 'ready', info });
    const engine = await client;
    const first = engine.generate(request());
    const started = first.next();
    post({
      type: 'news',
      outcomes: [{ id: 1, events: [{ type: 'start', prompt_tokens: 4 }] }],
      queue: [],
      stats: { ...NOTHING_RAN, running: 1, rows: 2 },
    });
    await started;
    return { engine, far, post };
  }

  test('a waiting request is told how many are ahead, at once and then regularly, in the engine’s order', async () => {
    const { engine, far, post } = await held({ waitingEveryMs: 5 });
    const [one, other] = [engine.generate(request()), engine.generate(request({ tenant: 'other' }))];
    const next = async (events: typeof one) => (await events.next()).value;
    expect(await next(one)).toEqual({ type: 'waiting', ahead: 0 });
    expect(await next(other)).toEqual({ type: 'waiting', ahead: 1 });
    for (let i = 0; i < 3; i++) expect(await next(other)).toEqual({ type: 'waiting', ahead: 1 });
    post({ type: 'news', outcomes: [], queue: [3, 2], stats: { ...NOTHING_RAN, running: 1, rows: 2 } });
    const countAhead = async (events: typeof one) => {
      const event = await next(events);
      return event?.type === 'waiting' ? event.ahead : Number.NaN;
    };
    await until(async () => (await countAhead(other)) === 0);
    await until(async () => (await countAhead(one)) === 1);
    const stats = { ...NOTHING_RAN, running: 2, rows: 4 };
    post({ type: 'news', outcomes: [{ id: 3, events: [{ type: 'start', prompt_tokens: 4 }] }], queue: [2], stats });
    await until(async () => (await other.next()).value?.type === 'start');
    expect(await Promise.race([other.next(), sleep(40, 'nothing more')])).toBe('nothing more');
    expect(engine.stats()).toMatchObject({ running: 2, waiting: 1, rows: 4 });
    far.close();
  });

  test('a lone request is soon told that it is waiting', async () => {
    const { client, far, post } = await connected();
    post({ type: 'ready', info });
    expect((await (await client).generate(request()).next()).value).toEqual({ type: 'waiting', ahead: 0 });
    far.close();
  });

  test('a request that cannot be met is refused at once', async () => {
    const { engine, far } = await held({ maxWaiting: 1 });
    const refusal = (asked: Parameters<typeof request>[0]) => engine.generate(request(asked)).next();
    await expect(refusal({ promptIds: Array(96).fill(7) })).rejects.toMatchObject({ code: 'context_length_exceeded' });
    await expect(refusal({ line: { mode: 'layers' } })).rejects.toMatchObject({ param: 'plimsoll.mode' });
    await engine.generate(request()).next();
    await expect(refusal({})).rejects.toMatchObject({ code: 'overloaded' });
    far.close();
  });

  test('a waiting request that leaves makes room', async () => {
    const { engine, far } = await held({ maxWaiting: 1 });
    const waiting = engine.generate(request());
    await waiting.next();
    await waiting.return();
    expect((await engine.generate(request()).next()).value).toEqual({ type: 'waiting', ahead: 0 });
    far.close();
  });
});
