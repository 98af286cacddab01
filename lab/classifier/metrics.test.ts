import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectedCalibrationError, recallAt, reliabilityBins, rocAuc, type Scored } from './metrics.ts';

const scored = fc.array(fc.record({ score: fc.integer({ min: 0, max: 9 }), positive: fc.boolean() }), {
  maxLength: 40,
});

/** Compares every positive with every negative, one by one. */
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

test('recall at a false-positive rate lets no more negatives through than promised', () => {
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

test('calibration error is 0 for honest probabilities, and the gap for dishonest ones', () => {
  const rows = (probability: number, positives: number) =>
    Array.from({ length: 10 }, (_, i) => ({ probability, target: i < positives ? 1 : 0 }));
  expect(expectedCalibrationError([...rows(0.2, 2), ...rows(0.8, 8)])).toBeCloseTo(0);
  expect(expectedCalibrationError([...rows(0.2, 5), ...rows(0.8, 8)])).toBeCloseTo(0.15);
  expect(expectedCalibrationError([])).toBeUndefined();
});

test('a row of a weight counts as that many rows', () => {
  const forecasts = fc.array(
    fc.record({
      probability: fc.double({ min: 0, max: 1, noNaN: true }),
      target: fc.constantFrom(0, 1),
      weight: fc.integer({ min: 1, max: 4 }),
    }),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(forecasts, (rows) => {
      const repeated = rows.flatMap(({ weight, ...row }) => Array.from({ length: weight }, () => row));
      expect(expectedCalibrationError(rows)).toBeCloseTo(expectedCalibrationError(repeated)!, 9);
    }),
  );
});

test('a bin says how many rows it has, what was predicted for them and what was true', () => {
  const forecasts = fc.array(
    fc.record({ probability: fc.double({ min: 0, max: 1, noNaN: true }), target: fc.constantFrom(0, 1) }),
  );
  fc.assert(
    fc.property(forecasts, (rows) => {
      const bins = reliabilityBins(rows);
      const total = (of: (bin: (typeof bins)[number]) => number) => bins.reduce((sum, bin) => sum + of(bin), 0);
      expect(total((bin) => bin.rows)).toBe(rows.length);
      expect(total((bin) => bin.rows * bin.target)).toBeCloseTo(rows.filter(({ target }) => target === 1).length, 6);
      expect(bins.map(({ probability }) => probability)).toEqual(
        bins.map(({ probability }) => probability).toSorted((a, b) => a - b),
      );
    }),
  );
  expect(reliabilityBins([{ probability: 1, target: 1 }])).toEqual([{ rows: 1, probability: 1, target: 1 }]);
});
