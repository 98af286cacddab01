import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { addWeight, NO_WEIGHTS, type RunningWeights } from './running-weights.ts';
import * as arbitrary from './testing/arbitraries.ts';

const running = (weights: readonly number[]) => weights.reduce<RunningWeights>(addWeight, NO_WEIGHTS);

test('keeps the least, mean and greatest weight', () => {
  expect(running([0.5, 0.25, 0.75])).toEqual({ count: 3, min: 0.25, mean: 0.5, max: 0.75 });
});

test('keeps the mean between the extremes, and continues from JSON', () => {
  fc.assert(
    fc.property(fc.array(arbitrary.share, { minLength: 1 }), (weights) => {
      const { min, mean, max } = running(weights);
      expect(min <= mean && mean <= max).toBe(true);
      expect(mean).toBeCloseTo(weights.reduce((a, b) => a + b) / weights.length, 12);
      const carried = JSON.parse(JSON.stringify(running(weights.slice(0, -1))));
      expect(addWeight(carried, weights.at(-1)!)).toEqual(running(weights));
    }),
  );
});

test('counts 0 tokens before the first one', () => {
  expect(running([])).toBe(NO_WEIGHTS);
  expect(NO_WEIGHTS.count).toBe(0);
});
