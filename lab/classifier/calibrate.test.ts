import { expect, test } from 'vitest';
import { sigmoid } from '#shared/classify/combine-scores.ts';
import { createRandom } from '#training/data/random.ts';
import { fitPlatt } from './calibrate.ts';

test('finds the slope and offset that the data were drawn with', () => {
  const random = createRandom('platt');
  const rows = Array.from({ length: 20_000 }, () => {
    const score = 12 * random.next() - 6;
    return { score, target: random.chance(sigmoid(0.5 * score - 1)) ? 1 : 0 };
  });
  const { slope, offset } = fitPlatt(rows);
  // Standard errors at 20,000 rows are about 0.01 and 0.02.
  expect(slope).toBeCloseTo(0.5, 1);
  expect(offset).toBeCloseTo(-1, 1);
});

test.each([
  ['no positive', Array.from({ length: 500 }, () => ({ score: -8, target: 0 }))],
  [
    'one positive',
    [{ score: 3, target: 1 }, ...Array.from({ length: 2000 }, (_, i) => ({ score: -9 - (i % 7), target: 0 }))],
  ],
  ['perfect separation', Array.from({ length: 40 }, (_, i) => ({ score: i < 20 ? -20 : 20, target: i < 20 ? 0 : 1 }))],
  ['all at one score', Array.from({ length: 9 }, (_, i) => ({ score: 1000, target: i % 2 }))],
  ['nothing', []],
])('the curve stays finite and rising with %s', (_, rows) => {
  const { slope, offset } = fitPlatt(rows);
  expect(Number.isFinite(offset)).toBe(true);
  expect(slope).toBeGreaterThan(0);
  for (const { score } of rows) expect(sigmoid(slope * score + offset)).not.toBeNaN();
});

test('does not become certain from a few rows: two lucky positives stay well below 1', () => {
  const { slope, offset } = fitPlatt([
    { score: 2, target: 1 },
    { score: 2, target: 1 },
    { score: -2, target: 0 },
    { score: -2, target: 0 },
  ]);
  expect(sigmoid(slope * 2 + offset)).toBeLessThan(0.85);
});

test('a row of weight 3 counts as three rows', () => {
  const row = (score: number, target: number) => ({ score, target });
  const light = [row(-2, 0), row(-1, 1), row(2, 1), row(3, 0), row(4, 1)];
  const heavy = { ...row(1, 0), weight: 3 };
  const { weight: _, ...one } = heavy;
  const weighted = fitPlatt([...light, heavy]);
  const repeated = fitPlatt([...light, one, one, one]);
  expect(weighted.slope).toBeCloseTo(repeated.slope, 9);
  expect(weighted.offset).toBeCloseTo(repeated.offset, 9);
});
