/**
 * What each new token may see: an additive mask, 0 where it sees and `MASKED` where it does not.
 *
 * With a sliding window of W, the token at position q sees the keys at positions q - W + 1 to q.
 * Padding is on the right, so causality alone hides it from real tokens.
 */

/** Added to an attention score to hide a position: its softmax is then exactly 0 in f32. */
export const MASKED = -1e9;

/**
 * `[B, T, P+T]`: from each new token to the P positions of the past, and then to the new tokens.
 * Position p of a sequence lies at p in the past.
 *
 * @param lengths how many tokens the past of each row holds; 0 for a row that nobody uses
 */
export function attentionMask(
  lengths: readonly number[],
  { T, P, window }: { T: number; P: number; window: number | null },
): Float32Array {
  const mask = new Float32Array(lengths.length * T * (P + T)).fill(MASKED);
  for (const [row, length] of lengths.entries()) {
    for (let t = 0; t < T; t++) {
      const start = (row * T + t) * (P + T);
      const firstPast = window === null ? 0 : Math.max(0, length + t - window + 1);
      const firstNew = window === null ? 0 : Math.max(0, t - window + 1);
      if (firstPast < length) mask.fill(0, start + firstPast, start + length);
      mask.fill(0, start + P + firstNew, start + P + t + 1);
    }
  }
  return mask;
}
