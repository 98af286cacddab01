import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attentionMask } from './attention-masks.ts';

/**
 * Transformers' definition, on positions: a key is seen if `key <= query` and, with a window,
 * `key > query - window`.
 */
const sees = (query: number, key: number, window: number | null) =>
  key <= query && (window === null || key > query - window);

test('every new token sees exactly the keys of its window, in the past and among the new', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(9), { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 6 }),
      fc.option(fc.integer({ min: 1, max: 12 })),
      (lengths, T, window) => {
        const P = Math.max(1, ...lengths);
        const mask = attentionMask(lengths, { T, P, window });
        for (const [row, length] of lengths.entries()) {
          for (let t = 0; t < T; t++) {
            const seen = mask.subarray((row * T + t) * (P + T), (row * T + t + 1) * (P + T));
            for (let p = 0; p < P; p++) {
              expect(seen[p] === 0).toBe(p < length && sees(length + t, p, window));
            }
            for (let k = 0; k < T; k++) expect(seen[P + k] === 0).toBe(sees(t, k, window));
          }
        }
      },
    ),
  );
});
