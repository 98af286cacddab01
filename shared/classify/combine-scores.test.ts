import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CATEGORIES, JUDGEMENTS } from '#shared/line/categories.ts';
import { ANY_HARM, COLUMNS, combineScores, HARM_COLUMN } from './combine-scores.ts';

const combined = (scores: ArrayLike<number>) => {
  const out = new Float64Array(JUDGEMENTS.length);
  combineScores(Float64Array.from(scores), out);
  return out;
};
// Beyond these scores, log-odds before and after would be cut off at the same probability.
const score = fc.double({ min: -15, max: 15, noNaN: true });
const scores = fc.array(score, { minLength: COLUMNS, maxLength: COLUMNS });

test('any_harm is at least as likely as each category', () => {
  fc.assert(
    fc.property(scores, (list) => {
      const out = combined(list);
      for (const k of CATEGORIES.keys()) expect(out[k]!).toBeLessThanOrEqual(out[ANY_HARM]! + 1e-9);
    }),
  );
});

test('more harm raises any_harm and every category', () => {
  fc.assert(
    fc.property(scores, fc.double({ min: 0.01, max: 5, noNaN: true }), (list, more) => {
      const before = combined(list);
      const after = combined(list.with(HARM_COLUMN, list[HARM_COLUMN]! + more));
      expect(after[ANY_HARM]!).toBeGreaterThan(before[ANY_HARM]!);
      for (const k of CATEGORIES.keys()) expect(after[k]!).toBeGreaterThanOrEqual(before[k]!);
    }),
  );
});

test('stays finite, however large the scores', () => {
  for (const value of [-1e6, 1e6]) {
    const out = combined(new Array<number>(COLUMNS).fill(value));
    expect(out.every(Number.isFinite)).toBe(true);
  }
});
