import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { addWeight, NO_WEIGHTS, summarizeWeights } from './running-weights.ts';
import * as arbitrary from './testing/arbitraries.ts';

test('least, mean and greatest weight', () => {
  expect(summarizeWeights([0.5, 0.25, 0.75])).toEqual({ count: 3, min: 0.25, mean: 0.5, max: 0.75 });
});

test('the mean stays between the extremes, and a summary goes on elsewhere', () => {
  fc.assert(
    fc.property(fc.array(arbitrary.share, { minLength: 1 }), (weights) => {
      const { min, mean, max } = summarizeWeights(weights);
      expect(min <= mean && mean <= max).toBe(true);
      expect(mean).toBeCloseTo(weights.reduce((a, b) => a + b) / weights.length, 12);
      const carried = JSON.parse(JSON.stringify(summarizeWeights(weights.slice(0, -1))));
      expect(addWeight(carried, weights.at(-1)!)).toEqual(summarizeWeights(weights));
    }),
  );
});

test('no tokens, no claim: the count is 0', () => {
  expect(summarizeWeights([])).toBe(NO_WEIGHTS);
  expect(NO_WEIGHTS.count).toBe(0);
});
