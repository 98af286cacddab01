import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { greedyChoice } from './greedy-choice.ts';
import { logSoftmax } from './log-softmax.ts';
import * as arbitrary from './testing/arbitraries.ts';
import * as oracle from './testing/oracle.ts';

const left = fc.oneof(fc.constant(null), fc.double({ min: 0, max: 12, noNaN: true }));

test('takes the likeliest token of the mixture among those that the budget allows', () => {
  fc.assert(
    fc.property(arbitrary.rows(), left, ({ safetyLogits, helpfulLogits }, natsLeft) => {
      const safety = logSoftmax(safetyLogits)!;
      const q = greedyChoice(logSoftmax(helpfulLogits)!, { safety, natsLeft });
      const token = q.logprobs.indexOf(0);
      const expected = oracle.greedy(oracle.softmax(helpfulLogits), oracle.softmax(safetyLogits), natsLeft);
      expect(helpfulLogits[token]).toBe(helpfulLogits[expected]);
      expect(q.logprobs.filter((lp) => lp > -Infinity)).toHaveLength(1);
      expect(-q.reference[token]!).toBeCloseTo(Math.max(...safety) - safety[token]!, 12);
      if (natsLeft !== null) expect(-q.reference[token]!).toBeLessThanOrEqual(natsLeft);
    }),
    { numRuns: 500 },
  );
});

test('takes the lowest id of equally likely tokens', () => {
  const row = logSoftmax(Float32Array.of(0, 1, 1))!;
  expect(greedyChoice(row, { safety: row, natsLeft: null }).logprobs.indexOf(0)).toBe(1);
});

test('takes the safety expert’s favourite if nothing is left to spend, or less than nothing', () => {
  const [safety, mixture] = [logSoftmax(Float32Array.of(1, 2, 0))!, logSoftmax(Float32Array.of(2, 1, 0))!];
  for (const natsLeft of [0, -1]) expect(greedyChoice(mixture, { safety, natsLeft }).logprobs.indexOf(0)).toBe(1);
});

test('takes the safety expert’s favourite if the mixture masks every affordable token', () => {
  const [safety, mixture] = [logSoftmax(Float32Array.of(9, 0))!, Float64Array.of(-Infinity, 0)];
  expect(greedyChoice(mixture, { safety, natsLeft: 1 }).logprobs.indexOf(0)).toBe(0);
  expect(greedyChoice(mixture, { safety, natsLeft: 10 }).logprobs.indexOf(0)).toBe(1);
});

test('with nothing left to spend, a bias cannot choose among the safety expert’s equal favourites', () => {
  const safety = Float64Array.of(-1, -0.5, -0.5);
  const { logprobs } = greedyChoice(Float64Array.of(-9, -9, -0.1), { safety, natsLeft: 0 });
  expect([...logprobs]).toEqual([-Infinity, 0, -Infinity]);
});
