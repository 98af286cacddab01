import { expect, test } from 'vitest';
import { familyReport } from './heads-step.ts';

const row = (tokens: number) => ({ ids: new Uint32Array(tokens + 4), weights: new Float32Array(tokens).fill(1) });
const judged = (gap: number, chosen: number, rejected: number) => ({
  pair: { chosen: row(chosen), rejected: row(rejected) },
  gap,
});

test('says how many pairs a model orders right, and how many length does', () => {
  const pairs = [judged(2, 9, 3), judged(1, 9, 3), judged(-1, 9, 3), judged(0, 3, 3)];
  expect(familyReport(pairs, true)).toMatchObject({ pairs: 4, accuracy: 0.625, lengthAlone: 0.875 });
  expect(familyReport(pairs, false)).toMatchObject({ lengthAlone: 0.125 });
});

test('a model that is sure and right is calibrated, one that is sure and wrong is not', () => {
  expect(familyReport([judged(30, 1, 2)], true).calibrationError).toBeCloseTo(0);
  expect(familyReport([judged(-30, 1, 2)], true).calibrationError).toBeCloseTo(1);
});
