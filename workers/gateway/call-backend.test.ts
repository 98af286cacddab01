import { expect, test } from 'vitest';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { createTracing } from '#shared/trace/tracing.ts';
import { createLoad } from './affinity.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { callBackend } from './call-backend.ts';
import { createRetryBudgets, type RetryBudget } from './retry-budget.ts';

const HEDGE_MS = 50;
const encoder = new TextEncoder();

/** Ids, and nothing that is sent. */
const untraced = createTracing({
  service: 'test',
  otlp: { endpoint: null, headers: {}, ratio: 1 },
  fetch: () => Promise.reject(new Error('nothing is sent')),
  onFailure: () => undefined,
});

/** Asks the backends played by `answers`, best first. `asked` lists those asked so far. */
function call(
  answers: Record<string, () => Response | Promise<Response>>,
  {
    breaker = createBreaker({ restMs: 1 }),
    onWaiting = (): void => undefined,
    retries,
  }: { breaker?: Breaker; onWaiting?: () => void; retries?: RetryBudget } = {},
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
    signal: new AbortController().signal,
    timeouts: { startMs: 5_000, frameMs: 5_000, hedgeMs: HEDGE_MS, resumeMs: 1_000, besideMs: 1_000 },
    fetch: async (url) => {
      const { hostname } = new URL(String(url));
      asked.push(hostname);
      return answers[hostname]!();
    },
    onWaiting,
    random: () => 0,
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
  const { answer, asked } = call(answers, { onWaiting: waits.resolve });
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
  const { answer, asked } = call({ one: late, two: late }, { retries });
  await expect(answer).rejects.toMatchObject({ code: 'expert_failed' });
  expect(asked).toEqual(['one']);
});

type Gate = PromiseWithResolvers<void>;
