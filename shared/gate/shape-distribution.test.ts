import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { keepNucleus } from './keep-nucleus.ts';
import { logSoftmax } from './log-softmax.ts';
import { penaltyBias, repetitionScale } from './penalty-bias.ts';
import { shapeDistribution } from './shape-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import * as oracle from './testing/oracle.ts';

const plain = { temperature: 1, topP: 1 };
const probabilities = (row: Float64Array | null) => [...(row ?? [])].map(Math.exp);

test('temperature, cuts, penalty and bias together match the oracle', () => {
  fc.assert(
    fc.property(arbitrary.logitsOf(12), arbitrary.wishes, (logits, wishes) => {
      const shaped = shapeDistribution(logSoftmax(logits)!, wishes);
      const expected = oracle.shape(oracle.softmax(logits), wishes);
      if (expected.some(Number.isNaN)) expect(shaped).toBeNull();
      else for (const [i, p] of probabilities(shaped).entries()) expect(p).toBeCloseTo(expected[i]!, 9);
    }),
  );
});

test('returns the row itself if the parameters change nothing', () => {
  const row = logSoftmax(Float32Array.of(1, 2, 3))!;
  expect(shapeDistribution(row, plain)).toBe(row);
  expect(shapeDistribution(row, { ...plain, bias: new Map() })).toBe(row);
});

test('a temperature next to 0 gives the likeliest token and no NaN', () => {
  const row = logSoftmax(Float32Array.of(1, 2, -Infinity))!;
  expect(probabilities(shapeDistribution(row, { temperature: Number.MIN_VALUE, topP: 1 }))).toEqual([0, 1, 0]);
  expect(probabilities(shapeDistribution(row, { temperature: 1e300, topP: 1 }))).toEqual([0.5, 0.5, 0]);
});

test('a token stays possible, however unlikely it is and however low the temperature', () => {
  const temperature = fc.constantFrom(Number.MIN_VALUE, 1e-300, 1e-9, 0.02, 1, 1e300);
  fc.assert(
    fc.property(arbitrary.extremeLogits(9), temperature, (logits, temperature) => {
      const row = shapeDistribution(logSoftmax(logits)!, { temperature, topP: 1 })!;
      expect(row.map((lp) => (lp > -Infinity ? 1 : 0))).toEqual(
        Float64Array.from(logits, (x) => (x > -Infinity ? 1 : 0)),
      );
      expect(probabilities(row).reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    }),
  );
});

test('at extreme top-p and temperature, the nucleus sums to 1, keeps the likeliest token and reaches top-p', () => {
  const topP = fc.constantFrom(0, Number.MIN_VALUE, Number.EPSILON, 0.5, 1 - Number.EPSILON, 1 - Number.EPSILON / 2);
  fc.assert(
    fc.property(arbitrary.extremeLogits(12), arbitrary.extremeTemperature, topP, (logits, temperature, topP) => {
      const before = probabilities(shapeDistribution(logSoftmax(logits)!, { temperature, topP: 1 }));
      const kept = probabilities(shapeDistribution(logSoftmax(logits)!, { temperature, topP }));
      expect(kept.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
      expect(kept[before.indexOf(Math.max(...before))]).toBeGreaterThan(0);
      const reached = before.filter((_, i) => kept[i]! > 0).reduce((a, b) => a + b);
      expect(reached).toBeGreaterThanOrEqual(topP - 1e-15);
    }),
    { numRuns: 500 },
  );
});

test('a ban removes a token, banning every token gives null, and ids outside the vocabulary are ignored', () => {
  const row = logSoftmax(Float32Array.of(0, 0))!;
  expect(probabilities(shapeDistribution(row, { ...plain, bias: new Map([[1, -Infinity]]) }))).toEqual([1, 0]);
  expect(shapeDistribution(row, { ...plain, bias: new Map([0, 1].map((id) => [id, -Infinity])) })).toBeNull();
  for (const id of [-1, 2, 0.5]) {
    expect(probabilities(shapeDistribution(row, { ...plain, bias: new Map([[id, 9]]) }))).toEqual([0.5, 0.5]);
  }
});

test('top-p keeps the fewest likeliest tokens whose probabilities reach it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (counts, topP) => {
        const total = counts.reduce((a, b) => a + b);
        const kept = Float64Array.from(counts);
        keepNucleus(kept, { topP, total });
        const inside = counts.filter((_, i) => kept[i]! > 0);
        const reached = inside.reduce((a, b) => a + b, 0);
        const outside = counts.filter((_, i) => kept[i] === 0);
        expect(reached).toBeGreaterThanOrEqual(topP * total);
        // One token fewer would not be enough, whichever is left out. And nothing outside is larger
        // than anything inside.
        if (inside.length > 1) expect(reached - Math.min(...inside)).toBeLessThan(topP * total);
        expect(Math.max(0, ...outside)).toBeLessThanOrEqual(Math.min(...inside));
        // Among equals, the lowest ids are kept.
        const cut = Math.min(...inside);
        const atCut = counts.flatMap((count, i) => (count === cut ? [kept[i]! > 0] : []));
        expect(atCut).toEqual(atCut.toSorted().reverse());
      },
    ),
  );
});

test('top-p 0 keeps only the likeliest token, even of a uniform row', () => {
  const uniform = logSoftmax(new Float32Array(1000))!;
  expect(probabilities(shapeDistribution(uniform, { temperature: 1, topP: 0 })).indexOf(1)).toBe(0);
});

test('penalties follow the counts and add to the logit bias', () => {
  const counts = new Map([
    [3, 2],
    [5, 0],
  ]);
  const bias = penaltyBias(counts, { frequencyPenalty: 0.5, presencePenalty: 0.25, logitBias: new Map([[3, 1]]) });
  expect(bias).toEqual(new Map([[3, -0.25]]));
  expect(penaltyBias(counts)).toEqual(new Map());
});

test('top-k counts before top-p sums, and top-p sums what top-k left', () => {
  const row = Float64Array.of(0.4, 0.3, 0.2, 0.1).map(Math.log);
  const kept = (shape: { topP: number; topK?: number; minP?: number }) =>
    probabilities(shapeDistribution(row, { temperature: 1, ...shape })).map((p) => Number(p.toFixed(6)));
  expect(kept({ topP: 1, topK: 2 })).toEqual([0.571429, 0.428571, 0, 0]);
  // 0.4 is 0.57 of what the two likeliest have, so there it is enough for a top-p of 0.5.
  expect(kept({ topP: 0.5 })).toEqual([0.571429, 0.428571, 0, 0]);
  expect(kept({ topP: 0.5, topK: 2 })).toEqual([1, 0, 0, 0]);
  expect(kept({ topP: 1, minP: 0.45 })).toEqual([0.444444, 0.333333, 0.222222, 0]);
  expect(kept({ topP: 1, topK: 0, minP: 1 })).toEqual([1, 0, 0, 0]);
  expect(kept({ topP: 1, topK: 9 })).toEqual([0.4, 0.3, 0.2, 0.1]);
});

test('top-k keeps the lowest ids of equals, and tokens whose mass no double holds', () => {
  const row = logSoftmax(Float32Array.of(0, 1, 1, 1, -5000, -6000))!;
  const kept = (topK: number) =>
    [...shapeDistribution(row, { temperature: 1, topP: 1, topK })!].flatMap((lp, i) => (lp > -Infinity ? [i] : []));
  expect([1, 2, 3, 4, 5].map(kept)).toEqual([[1], [1, 2], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3, 4]]);
});

test('a repetition penalty is what dividing and multiplying logits does to a row of log-probabilities', () => {
  fc.assert(
    fc.property(arbitrary.logitsOf(12), fc.constantFrom(0.8, 1, 1.3), (logits, penalty) => {
      const said = [3, 7, 3, 11];
      const row = logSoftmax(logits)!;
      // Hugging Face's RepetitionPenaltyLogitsProcessor, on log-probabilities
      const expected = logSoftmax(row.map((x, i) => (said.includes(i) ? (x < 0 ? x * penalty : x / penalty) : x)));
      const shaped = shapeDistribution(row, { ...plain, scale: repetitionScale(said, penalty) })!;
      for (const [i, lp] of expected!.entries()) expect(Math.exp(shaped[i]!)).toBeCloseTo(Math.exp(lp), 12);
    }),
  );
  expect(repetitionScale([1, 2], 1).size).toBe(0);
});
