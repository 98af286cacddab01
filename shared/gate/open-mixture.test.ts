import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mixExperts } from './mix-experts.ts';
import { heldWeight, openMixture } from './open-mixture.ts';
import * as arbitrary from './testing/arbitraries.ts';

const safety = Float64Array.of(-0.1, -2.5, -5);
const other = Float64Array.of(-3, -0.2, -2);
const line = { floor: 0.2, ceiling: 0.8, rule: 'geometric' as const };

test('mixes two experts at the given weight, and uses a layers row unchanged', () => {
  const helpful = openMixture(safety, { helpful: other, proposal: 0.4 }, line);
  expect(helpful).toEqual({ weight: 0.4, logprobs: mixExperts(safety, other, { weight: 0.4, rule: 'geometric' }) });
  const layers = openMixture(safety, { layers: other, alpha: 0.4 }, line);
  expect(layers).toEqual({ weight: 0.4, logprobs: other });
});

test('the rule does not affect a layers row', () => {
  const arithmetic = { ...line, rule: 'arithmetic' as const };
  const beside = { layers: other, alpha: 0.4 };
  expect(openMixture(safety, beside, arithmetic)).toEqual(openMixture(safety, beside, line));
});

describe('only the safety expert is left', () => {
  const untyped = (value: unknown) => value as never;
  test.each([
    ['if the line allows nothing else', { layers: other, alpha: 1 }, { ...line, floor: 1 }],
    ['if every gate is at 1', { layers: other, alpha: 1 }, { ...line, ceiling: 1 }],
    ['if the layers row is missing', { layers: null, alpha: 0.4 }, line],
    ['if the layers row is undefined', { layers: untyped(undefined), alpha: 0.4 }, line],
    ['if the layers row is too short', { layers: new Float64Array(2), alpha: 0.4 }, line],
    ['if the gates are NaN', { layers: other, alpha: Number.NaN }, line],
    ['if the gates were lost in JSON', { layers: other, alpha: untyped(null) }, line],
    ['if the gates are below 0', { layers: other, alpha: -0.1 }, line],
    ['if the gates are above 1', { layers: other, alpha: 1.1 }, { ...line, ceiling: 1 }],
    ['if the gates are below the floor', { layers: other, alpha: 0.199 }, line],
    ['if the gates are above the ceiling', { layers: other, alpha: 0.801 }, line],
  ])('%s', (_, beside, line) => {
    expect(openMixture(safety, beside, line)).toBeNull();
  });
});

test('gates held between the bounds in float32 give a weight between them', () => {
  const gates = fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 48 });
  fc.assert(
    fc.property(gates, arbitrary.share, arbitrary.share, (wished, floor, ceiling) => {
      // As the model does it: bounds are rounded to float32, each layer is clamped, and the gates
      // are averaged.
      const [low, high] = [Math.fround(floor), Math.fround(Math.max(floor, ceiling))];
      const alpha = wished.reduce((sum, gate) => sum + Math.min(Math.max(gate, low), high), 0) / wished.length;
      const weight = heldWeight(alpha, { floor, ceiling });
      expect(weight).toBeGreaterThanOrEqual(floor);
      expect(weight).toBeLessThanOrEqual(Math.max(floor, ceiling));
      expect(weight).toBeCloseTo(alpha, 6);
    }),
  );
});

test('the floor wins if floor and ceiling cross', () => {
  expect(heldWeight(0.7, { floor: 0.7, ceiling: 0.3 })).toBe(0.7);
});
