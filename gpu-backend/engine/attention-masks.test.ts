import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newMask, windowedPastMask } from './attention-masks.ts';

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
      fc.integer({ min: 1, max: 12 }),
      (lengths, T, window) => {
        const [B, P] = [lengths.length, Math.max(1, ...lengths)];
        const past = windowedPastMask({ rows: B, length: P }, { lengths, T, window });
        const fresh = newMask(B, T, window);
        for (const [row, length] of lengths.entries()) {
          for (let t = 0; t < T; t++) {
            for (let p = 0; p < P; p++) {
              expect(past[(row * T + t) * P + p] === 0).toBe(p < length && sees(length + t, p, window));
            }
            for (let k = 0; k < T; k++) expect(fresh[(row * T + t) * T + k] === 0).toBe(sees(t, k, window));
          }
        }
      },
    ),
  );
});

test('without a window, new tokens see all before them and nothing after', () => {
  const fresh = newMask(2, 3, null);
  for (let i = 0; i < fresh.length; i++) {
    expect(fresh[i] === 0).toBe(sees(Math.floor(i / 3) % 3, i % 3, null));
  }
});
