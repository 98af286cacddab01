import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { addSpending, natsLeft, SPENT_UNBOUNDED } from './add-spending.ts';
import { capByBudget } from './cap-by-budget.ts';
import { logSoftmax } from './log-softmax.ts';
import * as arbitrary from './testing/arbitraries.ts';
import * as oracle from './testing/oracle.ts';

const sum = (row: ArrayLike<number>) => Array.from(row).reduce((a, b) => a + b, 0);
const nats = fc.double({ min: 0, max: 6, noNaN: true });

test('the capped distribution is the one of the oracle', () => {
  fc.assert(
    fc.property(arbitrary.rows(), nats, ({ safetyLogits, helpfulLogits }, left) => {
      const reference = logSoftmax(safetyLogits)!;
      const q = capByBudget(logSoftmax(helpfulLogits)!, { reference, natsLeft: left }).logprobs.map(Math.exp);
      oracle.cap(oracle.softmax(helpfulLogits), oracle.softmax(safetyLogits), left).forEach((p, i) => {
        expect(q[i]).toBeCloseTo(p, 9);
      });
    }),
    { numRuns: 500 },
  );
});

test('it sums to 1 and stays under the cap, for rows hundreds of nats apart', () => {
  const wide = fc.array(fc.double({ min: -600, max: 600, noNaN: true }), { minLength: 40, maxLength: 40 });
  fc.assert(
    fc.property(wide, wide, fc.oneof(nats, fc.constantFrom(1e-15, 300, 1e300)), (safety, helpful, left) => {
      const reference = logSoftmax(Float64Array.from(safety))!;
      const { logprobs } = capByBudget(logSoftmax(Float64Array.from(helpful))!, { reference, natsLeft: left });
      // A log-probability of -1000 has its last digit at 1e-13.
      expect(sum(logprobs.map(Math.exp))).toBeCloseTo(1, 11);
      for (const [i, lp] of logprobs.entries()) expect(lp).toBeLessThanOrEqual(left + reference[i]!);
    }),
    { numRuns: 150 },
  );
});

test('thousands of tokens that reach the cap one after another are solved exactly', () => {
  // Masses fall and caps rise along the row, so that each pass frees room for the next few tokens only.
  const size = 4096;
  const mixture = logSoftmax(Float64Array.from({ length: size }, (_, i) => -i / 100))!;
  const reference = logSoftmax(Float64Array.from({ length: size }, (_, i) => -i / 110))!;
  for (const left of [1e-9, 0.01, 0.05, 0.09]) {
    expect(sum(capByBudget(mixture, { reference, natsLeft: left }).logprobs.map(Math.exp))).toBeCloseTo(1, 13);
  }
});

test('no distribution under the cap is nearer to the mixture', () => {
  fc.assert(
    fc.property(arbitrary.rows({ masks: false }), nats, fc.infiniteStream(nats), (pair, left, others) => {
      const [mixture, reference] = [logSoftmax(pair.helpfulLogits)!, logSoftmax(pair.safetyLogits)!];
      const q = [...capByBudget(mixture, { reference, natsLeft: left }).logprobs.map(Math.exp)];
      // Any other mixture under the same cap is some distribution that was allowed.
      const other = logSoftmax(mixture.map(() => others.next().value))!;
      const allowed = [...capByBudget(other, { reference, natsLeft: left }).logprobs.map(Math.exp)];
      const p = [...mixture.map(Math.exp)];
      expect(oracle.kl(q, p)).toBeLessThanOrEqual(oracle.kl(allowed, p) + 1e-9);
    }),
  );
});

test('a mixture that fits under the cap, or has no cap, comes back as it is', () => {
  const [mixture, reference] = [logSoftmax(Float32Array.of(1, 0))!, logSoftmax(Float32Array.of(0, 1))!];
  expect(capByBudget(mixture, { reference, natsLeft: 2 }).logprobs).toBe(mixture);
  expect(capByBudget(mixture, { reference, natsLeft: null }).logprobs).toBe(mixture);
});

test('nothing left, or less than nothing, is the safety expert as it is', () => {
  const [mixture, reference] = [logSoftmax(Float32Array.of(1, 0))!, logSoftmax(Float32Array.of(0, 1))!];
  expect(capByBudget(mixture, { reference, natsLeft: 0 }).logprobs).toBe(reference);
  expect(capByBudget(mixture, { reference, natsLeft: -3 }).logprobs).toBe(reference);
});

test('where the mixture cannot be filled to 1, the rest comes from the safety expert', () => {
  // p_s~ = (1, 2, 3, 4) / 10, p~ all on the first token, the cap twice p_s~: 0.2 there, 0.8 shared out as 2 : 3 : 4.
  const reference = Float64Array.of(0.1, 0.2, 0.3, 0.4).map(Math.log);
  const mixture = Float64Array.of(0, -Infinity, -Infinity, -Infinity);
  const q = capByBudget(mixture, { reference, natsLeft: Math.LN2 }).logprobs.map(Math.exp);
  const expected = [0.2, 0.8 * (2 / 9), 0.8 * (3 / 9), 0.8 * (4 / 9)];
  for (const [i, p] of expected.entries()) expect(q[i]).toBeCloseTo(p, 12);
});

test('spending never passes the budget, whatever rounds', () => {
  fc.assert(
    fc.property(arbitrary.finiteBudget, fc.array(fc.double({ noNaN: true }), { maxLength: 20 }), (budget, costs) => {
      let spent = 0;
      for (const spends of costs) spent = addSpending(spent, { spends, budget });
      expect(spent).toBeLessThanOrEqual(budget);
      expect(spent).toBeGreaterThanOrEqual(-SPENT_UNBOUNDED);
    }),
  );
});

test('infinite spending is a number that JSON keeps, nothing pays back and every budget finds overdrawn', () => {
  const spent = addSpending(1, { spends: Infinity, budget: null });
  expect(JSON.parse(JSON.stringify(spent))).toBe(spent);
  expect(addSpending(spent, { spends: -50, budget: null })).toBe(spent);
  expect(addSpending(spent, { spends: Infinity, budget: null })).toBe(spent);
  expect(natsLeft(1e12, { spent })).toBeLessThan(0);
});

test('an account overdrawn under a looser line is not forgiven', () => {
  expect(addSpending(7, { spends: 0, budget: 2 })).toBe(7);
});
