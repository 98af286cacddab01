import fc from 'fast-check';
import { expect, test } from 'vitest';
import { truncateRow } from './truncate-row.ts';

/** log p in double precision. */
function logSoftmax(logits: ArrayLike<number>): number[] {
  const all = Array.from(logits);
  const most = Math.max(...all);
  const logSum = most + Math.log(all.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return all.map((x) => x - logSum);
}

/** The ids of the k likeliest, found one after another; among equals, the lowest id comes first. */
function likeliest(logits: ArrayLike<number>, k: number): Set<number> {
  const found = new Set<number>();
  while (found.size < Math.min(k, logits.length)) {
    let best = -1;
    for (let id = 0; id < logits.length; id++) {
      if (!found.has(id) && (best < 0 || logits[id]! > logits[best]!)) best = id;
    }
    found.add(best);
  }
  return found;
}

/** Only a few different numbers, so that many are equal. */
const logits = fc
  .array(fc.constantFrom(-3, -1, 0, 0.5, 2, -Infinity), { minLength: 6, maxLength: 6 })
  .filter((row) => row.some(Number.isFinite))
  .map((row) => Float32Array.from(row));

test('holds the k likeliest ids of both rows, ascending, each with its own log-probability', () => {
  fc.assert(
    fc.property(logits, fc.option(logits), fc.integer({ min: 1, max: 8 }), (row, beside, k) => {
      const truncated = truncateRow(row, { beside, k });
      const wanted = new Set([...likeliest(row, k), ...(beside ? likeliest(beside, k) : [])]);
      expect([...truncated.ids]).toEqual([...wanted].sort((a, b) => a - b));
      expect(truncated.topK).toBe(k);
      const lp = logSoftmax(row);
      truncated.ids.forEach((id, i) => {
        if (lp[id] === -Infinity) expect(truncated.logprobs[i]).toBe(-Infinity);
        else expect(truncated.logprobs[i]).toBeCloseTo(lp[id]!, 12);
      });
    }),
  );
});

test('sorts ids as numbers', () => {
  const row = Float32Array.from({ length: 120 }, (_, id) => (id === 9 || id === 100 ? 5 : 0));
  expect([...truncateRow(row, { beside: null, k: 2 }).ids]).toEqual([9, 100]);
});

test.each([[[Number.NaN, 0]], [[-Infinity, -Infinity]], [[Infinity, 0]]])(
  'refuses %j as a distribution, in either row',
  (bad) => {
    const [broken, fine] = [Float32Array.from(bad), Float32Array.of(0, 1)];
    expect(() => truncateRow(broken, { beside: null, k: 1 })).toThrow('the expert gave no distribution');
    expect(() => truncateRow(fine, { beside: broken, k: 1 })).toThrow('the expert gave no distribution');
  },
);
