import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { RULES } from '#shared/line/line.ts';
import { logSoftmax } from './log-softmax.ts';
import { mixExperts } from './mix-experts.ts';
import * as arbitrary from './testing/arbitraries.ts';
import * as oracle from './testing/oracle.ts';

const half = { weight: 0.5, rule: 'geometric' } as const;

test('both rules match the oracle', () => {
  fc.assert(
    fc.property(arbitrary.rows(), arbitrary.share, arbitrary.rule, ({ safetyLogits, helpfulLogits }, weight, rule) => {
      const mixed = mixExperts(logSoftmax(safetyLogits)!, logSoftmax(helpfulLogits)!, { weight, rule });
      const expected = oracle.mix(oracle.softmax(safetyLogits), oracle.softmax(helpfulLogits), weight, rule);
      if (expected.some(Number.isNaN)) expect(mixed).toBeNull();
      else for (const [i, p] of expected.entries()) expect(Math.exp(mixed![i]!)).toBeCloseTo(p, 12);
    }),
  );
});

test('between the ends, the geometric rule masks what either expert masks, and the arithmetic rule what both mask', () => {
  const safety = logSoftmax(Float32Array.of(0, 0, -Infinity, -Infinity))!;
  const helpful = logSoftmax(Float32Array.of(0, -Infinity, 0, -Infinity))!;
  expect(mixExperts(safety, helpful, half)).toEqual(Float64Array.of(0, -Infinity, -Infinity, -Infinity));
  const either = mixExperts(safety, helpful, { weight: 0.5, rule: 'arithmetic' })!;
  expect([...either.map(Math.exp)].map((p) => p.toFixed(9))).toEqual([
    '0.500000000',
    '0.250000000',
    '0.250000000',
    '0.000000000',
  ]);
});

test('the geometric rule finds nothing if the experts have no token in common', () => {
  const one = Float64Array.of(0, -Infinity);
  const other = Float64Array.of(-Infinity, 0);
  expect(mixExperts(one, other, half)).toBeNull();
  expect(mixExperts(one, other, { ...half, weight: 1 })).toBe(one);
  expect(mixExperts(one, other, { ...half, weight: 0 })).toBe(other);
});

test('mixes at weights next to 0 and next to 1', () => {
  const safety = logSoftmax(Float32Array.of(0, 1))!;
  const helpful = logSoftmax(Float32Array.of(1, 0))!;
  for (const rule of RULES) {
    for (const weight of [Number.MIN_VALUE, 2 ** -53, 1 - 2 ** -53]) {
      const near = weight < 0.5 ? helpful : safety;
      const mixed = mixExperts(safety, helpful, { weight, rule })!;
      for (const [i, lp] of mixed.entries()) expect(lp).toBeCloseTo(near[i]!, 14);
    }
  }
});
