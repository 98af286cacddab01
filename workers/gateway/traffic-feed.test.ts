import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LiveTrafficContract, OverRequest, TrafficBatch } from '../objects/live-traffic-contract.ts';
import { createTrafficFeed } from './traffic-feed.ts';

const WAIT_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A feed whose calls end when the test says so. */
function feedUnderTest() {
  const calls: { batch: TrafficBatch; done: PromiseWithResolvers<number> }[] = [];
  const traffic: LiveTrafficContract = {
    tell(batch) {
      const done = Promise.withResolvers<number>();
      calls.push({ batch, done });
      return done.promise;
    },
    forget: () => Promise.reject(new Error('not asked here')),
    counts: () => Promise.reject(new Error('not asked here')),
    read: () => Promise.reject(new Error('not asked here')),
  };
  const env = { LIVE_TRAFFIC: { getByName: () => traffic } };
  const feed = createTrafficFeed();
  const add = (request: string, tenant = 'a') => feed.add({ ...OVER, request, tenant }, env);
  const told = () =>
    calls.map(({ batch: { tenants } }) => tenants.flatMap(({ requests }) => requests.map(({ request }) => request)));
  return { calls, add, told };
}

const OVER: OverRequest = {
  ...{ request: '', tenant: '', at: '2026-11-30T08:00:00.000Z', key: 'web', route: 'POST /v1/chat/completions' },
  ...{ model: null, outcome: 'answered', status: 200, code: null, ms: 5, policy: null, canary: false, floor: null },
  ...{ budget: null, spent: null, categories: [], because: null, weights: null, prompt_tokens: null },
  ...{ completion_tokens: null, finish_reason: null, cache: null, backend: null },
};

test('requests that end together go together, and no call is made before the object wants one', async () => {
  const { calls, add, told } = feedUnderTest();
  const both = [add('1'), add('2')];
  await vi.advanceTimersByTimeAsync(100);
  expect(told()).toEqual([['1', '2']]);
  calls[0]!.done.resolve(WAIT_MS);
  await Promise.all(both);
  const third = add('3');
  await vi.advanceTimersByTimeAsync(WAIT_MS - 1);
  expect(told()).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(told()).toEqual([['1', '2'], ['3']]);
  calls[1]!.done.resolve(WAIT_MS);
  await third;
});

test('a request that ends while a call is made is told, and nobody has to end after it', async () => {
  const { calls, add, told } = feedUnderTest();
  const first = add('first');
  await vi.advanceTimersByTimeAsync(100);
  expect(told()).toEqual([['first']]);
  const meanwhile = add('meanwhile');
  calls[0]!.done.resolve(WAIT_MS);
  await first;
  await vi.advanceTimersByTimeAsync(WAIT_MS - 1);
  expect(told()).toEqual([['first']]);
  await vi.advanceTimersByTimeAsync(1);
  expect(told()).toEqual([['first'], ['meanwhile']]);
  calls[1]!.done.resolve(WAIT_MS);
  await meanwhile;
});

test('what a failed call was to tell is counted in the next one, tenant by tenant', async () => {
  const { calls, add } = feedUnderTest();
  const first = [add('1', 'a'), add('2', 'a'), add('3', 'b')];
  await vi.advanceTimersByTimeAsync(100);
  const meanwhile = add('4', 'a');
  calls[0]!.done.reject(new Error('away'));
  await Promise.all(first);
  await vi.advanceTimersByTimeAsync(10_000);
  const { tenants, lost } = calls[1]!.batch;
  expect(tenants.map((each) => [each.tenant, each.requests.length, each.lost])).toEqual([
    ['a', 1, 2],
    ['b', 0, 1],
  ]);
  expect(lost).toBe(0);
  calls[1]!.done.resolve(WAIT_MS);
  await meanwhile;
});

test('tenants that a call has no room for are counted', async () => {
  const { calls, add } = feedUnderTest();
  const all = Array.from({ length: 203 }, (_, index) => add('1', `t${index}`));
  await vi.advanceTimersByTimeAsync(100);
  expect([calls[0]!.batch.tenants.length, calls[0]!.batch.lost]).toEqual([200, 3]);
  calls[0]!.done.resolve(WAIT_MS);
  await Promise.all(all);
});
