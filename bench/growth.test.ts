import { expect, test } from 'vitest';
import { powerLaw, trainingNeeds } from './growth.ts';

test('recovers a power law from its points', () => {
  const points = [5e6, 1e7, 2e7].map((parameters) => ({ parameters, value: 3 * parameters ** 0.7 }));
  const { exponent, factor } = powerLaw(points);
  expect(exponent).toBeCloseTo(0.7, 10);
  expect(factor).toBeCloseTo(3, 6);
});

test('computes what a model of N = 1e9 parameters needs at 6 N operations per token', () => {
  const needs = trainingNeeds({ parameters: 1e9, flopsPerToken: 6e9 }, { flopsPerSecond: 1e11 });
  expect(needs.tokens).toBe(2e10);
  expect(needs.flops).toBe(1.2e20);
  expect(needs.hoursHere).toBeCloseTo(1.2e20 / 1e11 / 3600, 6);
  expect(needs.gpuHours).toBeCloseTo(1.2e20 / 124.8e12 / 3600, 6);
});
