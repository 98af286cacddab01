import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRetryBudgets, type RetryBudget } from './retry-budget.ts';

const WINDOW_MS = 10_000;
const made = () => true;
/** How many attempts it makes of `wanted`. */
const spent = (budget: RetryBudget, wanted: number) =>
  Array.from({ length: wanted }, () => budget.spend(made)).filter(Boolean).length;

test('a quiet edge may retry, but not for ever', () => {
  const budget = createRetryBudgets({ share: 0.2, reserve: 6, now: () => 0 }).of('acme');
  expect([1, 2, 3, 4].map(() => budget.spend(made))).toEqual([true, true, true, false]);
  for (let i = 0; i < 5; i++) budget.request();
  expect([1, 2].map(() => budget.spend(made))).toEqual([true, false]);
});

test('an attempt that found nobody to ask costs nothing', () => {
  const budget = createRetryBudgets({ share: 0, reserve: 1, now: () => 0 }).of('acme');
  expect([budget.spend(() => false), budget.spend(made), budget.spend(made)]).toEqual([false, true, false]);
});

test('a tenant whose requests fail leaves the others their retries', () => {
  const budgets = createRetryBudgets({ share: 0.2, reserve: 100, now: () => 0 });
  for (let i = 0; i < 1_000; i++) {
    budgets.of('failing').request();
    spent(budgets.of('failing'), 2);
  }
  expect(spent(budgets.of('failing'), 1)).toBe(0);
  for (let i = 0; i < 50; i++) budgets.of('other').request();
  // Its own share, and half of the half that is left.
  expect(spent(budgets.of('other'), 1_000)).toBe(0.2 * 50 + 25);
});

test('many tenants whose requests fail leave a newcomer something, and each its own share', () => {
  const budgets = createRetryBudgets({ share: 0.2, reserve: 100, now: () => 0 });
  for (let round = 0; round < 1_000; round++) {
    for (let tenant = 0; tenant < 9; tenant++) budgets.of(`failing-${tenant}`).spend(made);
  }
  expect(spent(budgets.of('new'), 1_000)).toBeGreaterThanOrEqual(5);
  for (let tenant = 0; tenant < 1_000; tenant++) spent(budgets.of(`failing-${tenant}`), 1);
  expect(spent(budgets.of('last'), 1)).toBe(0);
  for (let i = 0; i < 10; i++) budgets.of('last').request();
  expect(spent(budgets.of('last'), 1_000)).toBe(2);
});

test('more tenants than it remembers get no more than the reserve', () => {
  const budgets = createRetryBudgets({ share: 0.2, reserve: 100, mostTenants: 2, now: () => 0 });
  const retries = Array.from({ length: 1_000 }, (_, tenant) => spent(budgets.of(`tenant-${tenant}`), 1));
  expect(retries.reduce((sum, each) => sum + each, 0)).toBe(100);
});

test('in no ten seconds are there more retries than the reserve and the share of twenty seconds allow', () => {
  const event = fc.record({ tenant: fc.constantFrom('a', 'b', 'c'), retry: fc.boolean(), afterMs: fc.nat(2_000) });
  const events = fc.array(event, { maxLength: 200 });
  fc.assert(
    fc.property(events, fc.nat(10), fc.double({ min: 0, max: 1, noNaN: true }), (all, reserve, share) => {
      let nowMs = 0;
      // Of three tenants, one is always forgotten.
      const budgets = createRetryBudgets({ share, reserve, mostTenants: 2, now: () => nowMs });
      const requests: number[] = [];
      const retries: number[] = [];
      for (const { tenant, retry, afterMs } of all) {
        nowMs += afterMs;
        const budget = budgets.of(tenant);
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
