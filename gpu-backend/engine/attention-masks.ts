/**
 * What each new token may see: additive masks, 0 where it sees and `MASKED` where it does not.
 *
 * With a sliding window of W, the token at position q sees the keys at positions q - W + 1 to q.
 * Padding is on the right, so causality alone hides it from real tokens.
 */
import { MASKED, type Past } from './kv-cache.ts';

/** Among the new tokens, `[B, 1, T, T]`. */
export function newMask(B: number, T: number, window: number | null): Float32Array {
  const mask = new Float32Array(B * T * T).fill(MASKED);
  for (let row = 0; row < B; row++) {
    for (let t = 0; t < T; t++) {
      const from = window === null ? 0 : Math.max(0, t - window + 1);
      const start = (row * T + t) * T;
      mask.fill(0, start + from, start + t + 1);
    }
  }
  return mask;
}

/**
 * From the new tokens to the past, `[B, 1, T, P]`. Position p of a sequence lies at p in the past.
 *
 * @param lengths how many tokens the past of each row holds; 0 for a row that nobody uses
 */
export function windowedPastMask(
  { rows: B, length: P }: Pick<Past, 'rows' | 'length'>,
  { lengths, T, window }: { lengths: readonly number[]; T: number; window: number },
): Float32Array {
  const mask = new Float32Array(B * T * P).fill(MASKED);
  for (let row = 0; row < B; row++) {
    const length = lengths[row]!;
    for (let t = 0; t < T; t++) {
      const from = Math.min(length, Math.max(0, length + t - window + 1));
      const start = (row * T + t) * P;
      mask.fill(0, start + from, start + length);
    }
  }
  return mask;
}
