import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectedCalibrationError, recallAt, rocAuc, type Scored } from './metrics.ts';

const scored = fc.array(fc.record({ score: fc.integer({ min: 0, max: 9 }), positive: fc.boolean() }), {
  maxLength: 40,
});

/** Every pair of a positive and a negative, one by one. */
function slowAuc(rows: readonly Scored[]): number | undefined {
  const positives = rows.filter(({ positive }) => positive);
  const negatives = rows.filter(({ positive }) => !positive);
  const wins = positives.flatMap((p) => negatives.map((n) => (p.score > n.score ? 1 : p.score === n.score ? 0.5 : 0)));
  return wins.length === 0 ? undefined : wins.reduce((a: number, b) => a + b, 0) / wins.length;
}

test('ROC-AUC is the share of pairs in the right order', () => {
  fc.assert(
    fc.property(scored, (rows) => {
      const expected = slowAuc(rows);
      if (expected === undefined) expect(rocAuc(rows)).toBeUndefined();
      else expect(rocAuc(rows)).toBeCloseTo(expected, 12);
    }),
  );
});

test('recall at a false-positive rate never lets more negatives through than promised', () => {
  fc.assert(
    fc.property(scored, fc.double({ min: 0, max: 0.99, noNaN: true }), (rows, falsePositiveRate) => {
      const recall = recallAt(rows, { falsePositiveRate });
      if (recall === undefined) return;
      const positives = rows.filter(({ positive }) => positive);
      const negatives = rows.filter(({ positive }) => !positive);
      const allowed = Math.floor(falsePositiveRate * negatives.length);
      const caught = Math.round(recall * positives.length);
      const threshold = positives.map(({ score }) => score).sort((a, b) => b - a)[caught - 1];
      if (threshold !== undefined) {
        expect(negatives.filter(({ score }) => score >= threshold).length).toBeLessThanOrEqual(allowed);
      }
    }),
  );
});

test('calibration error is 0 for honest probabilities and the gap for dishonest ones', () => {
  const rows = (probability: number, positives: number) =>
    Array.from({ length: 10 }, (_, i) => ({ probability, target: i < positives ? 1 : 0 }));
  expect(expectedCalibrationError([...rows(0.2, 2), ...rows(0.8, 8)])).toBeCloseTo(0);
  expect(expectedCalibrationError([...rows(0.2, 5), ...rows(0.8, 8)])).toBeCloseTo(0.15);
  expect(expectedCalibrationError([])).toBeUndefined();
});
