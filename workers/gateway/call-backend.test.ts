import { afterEach, expect, test, vi } from 'vitest';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { createTracing } from '#shared/trace/tracing.ts';
import { createLoad } from './affinity.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { callBackend } from './call-backend.ts';
import { isUnread } from './read-frames.ts';
import { createRetryBudgets, type RetryBudget } from './retry-budget.ts';

const HEDGE_MS = 50;
/** On a busy machine, a backend that answers at once may take long. */
const NEVER_MS = 600_000;
const encoder = new TextEncoder();

const fakeTimers = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
afterEach(() => vi.useRealTimers());

/** Ids, and nothing that is sent. */
const untraced = createTracing({
  service: 'test',
  otlp: { endpoint: null, headers: {}, ratio: 1 },
  fetch: () => Promise.reject(new Error('nothing is sent')),
  onFailure: () => undefined,
});

/** Asks the backends played by `answers`, best first. `asked` lists those asked so far. */
function call(
  answers: Record<string, (signal: AbortSignal) => Response | Promise<Response>>,
  {
    breaker = createBreaker({ restMs: 1 }),
    onWaiting = (): void => undefined,
    retries,
    isAgain = false,
    hedgeMs = NEVER_MS,
    frameMs = NEVER_MS,
    signal = new AbortController().signal,
  }: {
    breaker?: Breaker;
    onWaiting?: () => void;
    retries?: RetryBudget;
    isAgain?: boolean;
    hedgeMs?: number;
    frameMs?: number;
    signal?: AbortSignal;
  } = {},
) {
  const asked: string[] = [];
  const answer = callBackend({
    candidates: Object.keys(answers).map((name) => ({
      url: `http://${name}`,
      alive: true,
      model: 'm',
      contextLength: 64,
      maxTokenBytes: 16,
      bundle: 'b',
      created: null,
      modes: ['logits'],
      serves: [],
      secondLook: null,
      sampling: PLAIN_SAMPLING,
    })),
    breaker,
    load: createLoad(),
    onOtherModel: () => undefined,
    requestId: 'req_1',
    trace: untraced.begin('test', { header: () => undefined }),
    body: '{}',
    directive: {
      request: 'req_1',
      tenant: 'acme',
      key: 'main',
      policy: 'p',
      classifier: 'c',
      digest: '0'.repeat(64),
      line: OPEN_LINE,
      second_look: null,
      resume: null,
    },
    directiveKey: directiveKey('s'.repeat(32)),
    signal,
    timeouts: { startMs: NEVER_MS, frameMs, hedgeMs, resumeMs: 1_000, besideMs: 1_000 },
    fetch: async (url, init) => {
      const { hostname } = new URL(String(url));
      asked.push(hostname);
      return answers[hostname]!(init!.signal!);
    },
    onWaiting,
    random: () => 0,
    isAgain,
    ...(retries && { retries }),
  });
  return { answer, asked };
}

const refusal = (status: number, code: string) => () => Response.json({ error: { message: 'No.', code } }, { status });

test.each([
  [400, 'context_length_exceeded'],
  [503, 'overloaded'],
])('a backend that was out is back once it refuses with %i %s', async (status, code) => {
  let nowMs = 0;
  const breaker = createBreaker({ restMs: 1_000, now: () => nowMs });
  breaker.failed('http://one');
  nowMs = 1_000;
  await expect(call({ one: refusal(status, code) }, { breaker }).answer).rejects.toMatchObject({ code });
  expect([breaker.admit('http://one'), breaker.admit('http://one')]).toEqual([true, true]);
});

test('asks no third backend when one lets the request wait and another fails', async () => {
  const [secondAsked, waits, end] = [1, 2, 3].map(() => Promise.withResolvers<void>()) as [Gate, Gate, Gate];
  const waiting = () =>
    new Response(
      new ReadableStream<Uint8Array>({
        async start(controller) {
          await secondAsked.promise;
          controller.enqueue(encoder.encode('{"type":"waiting","ahead":1}\n'));
          await end.promise;
          controller.error(new Error('broke'));
        },
      }),
    );
  const fails = async () => {
    secondAsked.resolve();
    await waits.promise;
    return refusal(500, 'expert_failed')();
  };
  const answers = { one: waiting, two: fails, three: refusal(503, 'overloaded') };
  const { answer, asked } = call(answers, { onWaiting: waits.resolve, hedgeMs: HEDGE_MS });
  const failed = answer.catch(() => undefined);
  await waits.promise;
  await new Promise((resolve) => setTimeout(resolve, 4 * HEDGE_MS));
  expect(asked).toEqual(['one', 'two']);
  end.resolve();
  await failed;
});

test('while a whole pool fails, requests together make few attempts beyond their first', async () => {
  const retries = createRetryBudgets({ share: 0.2, reserve: 20, now: () => 0 }).of('acme');
  // Each of them finds all backends well, as an isolate does that has just started.
  const full = refusal(503, 'overloaded');
  const calls = Array.from({ length: 500 }, () => call({ one: full, two: full, three: full }, { retries }));
  const outcomes = await Promise.allSettled(calls.map(({ answer }) => answer));
  expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']));
  const attempts = calls.reduce((sum, { asked }) => sum + asked.length, 0);
  expect(attempts).toBe(500 + 0.2 * 500 + 10);
});

test('a silent backend costs no second one once the budget is spent', async () => {
  const retries = createRetryBudgets({ share: 0, reserve: 0 }).of('acme');
  const late = async () => {
    await new Promise((resolve) => setTimeout(resolve, 4 * HEDGE_MS));
    return refusal(500, 'expert_failed')();
  };
  const { answer, asked } = call({ one: late, two: late }, { retries, hedgeMs: HEDGE_MS });
  await expect(answer).rejects.toMatchObject({ code: 'expert_failed' });
  expect(asked).toEqual(['one']);
});

/** The frames of an answer, each in a piece of its own. Then it falls silent. */
const answering = (signal: AbortSignal, ...frames: object[]) =>
  new Response(
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const frame of frames) controller.enqueue(encoder.encode(`${JSON.stringify(frame)}\n`));
        signal.addEventListener('abort', () => controller.error(signal.reason));
      },
    }),
  );
const START = { type: 'start', id: 'r', model: 'm', backend: 'one', bundle: 'b', draws: 'd', prompt_tokens: 1 };
const READING = { type: 'reading', read: 1, of: 2 };
const never = (signal: AbortSignal) =>
  new Promise<Response>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

test('a trial that its client cancels does not keep the backend out for all others', async () => {
  let nowMs = 0;
  const breaker = createBreaker({ restMs: 1_000, now: () => nowMs });
  breaker.failed('http://one');
  nowMs = 1_000;
  const client = new AbortController();
  const { answer, asked } = call({ one: never }, { breaker, signal: client.signal });
  await expect.poll(() => asked).toEqual(['one']);
  expect(breaker.admit('http://one')).toBe(false);
  client.abort();
  await expect(answer).rejects.toThrow();
  expect(breaker.admit('http://one')).toBe(true);
});

test('a trial that ends with an error of the request does not keep the backend out either', async () => {
  let nowMs = 0;
  const breaker = createBreaker({ restMs: 1_000, now: () => nowMs });
  breaker.failed('http://one');
  nowMs = 1_000;
  await expect(call({ one: refusal(500, 'expert_failed') }, { breaker }).answer).rejects.toThrow();
  // It is still on trial, so one request may ask it and no more.
  expect([breaker.admit('http://one'), breaker.admit('http://one')]).toEqual([true, false]);
});

test('a request that is slow everywhere puts out no backend that is only slow with it', async () => {
  const breaker = createBreaker({ restMs: 1_000 });
  const secondAsked = Promise.withResolvers<void>();
  const answers = {
    one: async (signal: AbortSignal) => {
      await secondAsked.promise;
      await new Promise((resolve) => setTimeout(resolve, 2 * HEDGE_MS));
      return answering(signal, START);
    },
    two: (signal: AbortSignal) => {
      secondAsked.resolve();
      return never(signal);
    },
  };
  const { answer } = call(answers, { breaker, hedgeMs: HEDGE_MS });
  expect((await answer).member.url).toBe('http://one');
  expect(breaker.admit('http://two')).toBe(true);
});

test('a backend that is silent while another one answers soon is out', async () => {
  fakeTimers();
  const breaker = createBreaker({ restMs: 60_000 });
  const { answer } = call({ one: never, two: (signal) => answering(signal, START) }, { breaker, hedgeMs: 1_000 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect((await answer).member.url).toBe('http://two');
  expect(breaker.admit('http://one')).toBe(false);
});

test('a client that reads slowly loses its backend, and puts it out for nobody', async () => {
  fakeTimers();
  const frameMs = 100;
  const breaker = createBreaker({ restMs: 60_000 });
  const { answer } = call({ one: (signal) => answering(signal, START, READING) }, { breaker, frameMs });
  const frames = (await answer).frames[Symbol.asyncIterator]();
  expect(await frames.next()).toMatchObject({ value: [READING] });
  // Nobody asks for the next frame.
  await vi.advanceTimersByTimeAsync(3 * frameMs);
  const broken: unknown = await frames.next().catch((thrown: unknown) => thrown);
  expect(broken).toMatchObject({ code: 'backend_unavailable' });
  expect(isUnread(broken)).toBe(true);
  expect(breaker.admit('http://one')).toBe(true);
});

test('a backend that falls silent in its answer is out', async () => {
  fakeTimers();
  const breaker = createBreaker({ restMs: 60_000 });
  const { answer } = call({ one: (signal) => answering(signal, START, READING) }, { breaker, frameMs: 100 });
  const frames = (await answer).frames[Symbol.asyncIterator]();
  await frames.next();
  const next = frames.next().catch((thrown: unknown) => thrown);
  await vi.advanceTimersByTimeAsync(200);
  const broken: unknown = await next;
  expect(broken).toMatchObject({ code: 'backend_unavailable' });
  expect(isUnread(broken)).toBe(false);
  expect(breaker.admit('http://one')).toBe(false);
});

test.each([413, 414, 431])('a %i of whatever is in front of a backend puts out nothing', async (status) => {
  const breaker = createBreaker({ restMs: 60_000 });
  const page = () => new Response('<html>Too large.</html>', { status });
  const { answer, asked } = call({ one: page, two: page }, { breaker });
  await expect(answer).rejects.toMatchObject({ code: 'request_too_large' });
  expect(asked).toEqual(['one']);
  expect(breaker.admit('http://one')).toBe(true);
});

test('a 429 of whatever is in front of a backend means that it is full', async () => {
  const breaker = createBreaker({ restMs: 60_000 });
  const page = () => new Response('<html>Slow down.</html>', { status: 429, headers: { 'retry-after': '7' } });
  const { answer, asked } = call({ one: page, two: page }, { breaker });
  await expect(answer).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 7 });
  expect(asked).toEqual(['one', 'two']);
  expect(breaker.admit('http://one')).toBe(true);
});

type Gate = PromiseWithResolvers<void>;

test('a request that is sent again is a retry from its first attempt on, and earns none', async () => {
  const budgets = createRetryBudgets({ share: 1, reserve: 2, now: () => 0 });
  const retries = budgets.of('acme');
  const one = { one: refusal(400, 'context_length_exceeded') };
  const again = () => call(one, { retries, isAgain: true });
  const first = again();
  await expect(first.answer).rejects.toMatchObject({ code: 'context_length_exceeded' });
  const second = again();
  await expect(second.answer).rejects.toMatchObject({ code: 'backend_unavailable' });
  expect([first.asked, second.asked]).toEqual([['one'], []]);
});
