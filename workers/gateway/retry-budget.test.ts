import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRetryBudget } from './retry-budget.ts';

const WINDOW_MS = 10_000;
const made = () => true;

test('a quiet edge may retry, but not for ever', () => {
  const budget = createRetryBudget({ share: 0.2, reserve: 3, now: () => 0 });
  expect([1, 2, 3, 4].map(() => budget.spend(made))).toEqual([true, true, true, false]);
  for (let i = 0; i < 5; i++) budget.request();
  expect([1, 2].map(() => budget.spend(made))).toEqual([true, false]);
});

test('an attempt that found nobody to ask costs nothing', () => {
  const budget = createRetryBudget({ share: 0, reserve: 1, now: () => 0 });
  expect([budget.spend(() => false), budget.spend(made), budget.spend(made)]).toEqual([false, true, false]);
});

test('in no ten seconds are there more retries than the reserve and the share of twenty seconds allow', () => {
  const events = fc.array(fc.record({ retry: fc.boolean(), afterMs: fc.nat(2_000) }), { maxLength: 200 });
  fc.assert(
    fc.property(events, fc.nat(10), fc.double({ min: 0, max: 1, noNaN: true }), (all, reserve, share) => {
      let nowMs = 0;
      const budget = createRetryBudget({ share, reserve, now: () => nowMs });
      const requests: number[] = [];
      const retries: number[] = [];
      for (const { retry, afterMs } of all) {
        nowMs += afterMs;
        if (!retry) {
          budget.request();
          requests.push(nowMs);
        } else if (budget.spend(made)) {
          retries.push(nowMs);
        }
        const within = (times: readonly number[], ms: number) => times.filter((at) => nowMs - at < ms).length;
        // The window moves in steps, so it may be a step longer than ten seconds, and never shorter
        // than nine for a retry.
        const counted = within(retries, WINDOW_MS - 1_000);
        expect(counted).toBeLessThanOrEqual(reserve + share * within(requests, 2 * WINDOW_MS));
      }
    }),
  );
});
