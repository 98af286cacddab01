import { findCut } from './find-cut.ts';
import { logSoftmax } from './log-softmax.ts';

/**
 * Top-k: keeps the k likeliest tokens of a distribution and renormalises them. Among equals, it
 * keeps the lowest ids.
 *
 * @param logprobs log-probabilities, [vocabulary]
 * @param k at least 1; if it covers every token, the row is returned unchanged
 */
export function keepTop(logprobs: Float64Array, k: number): Float64Array | null {
  if (k >= logprobs.length) return logprobs;
  const row = logprobs.slice();
  keepLikeliest(row, k);
  return logSoftmax(row);
}

/** Masks all but the k largest of a row. Among equals, the lowest ids are kept. */
export function keepLikeliest(row: Float64Array, k: number): void {
  const cut = findCut(row.slice(), { size: row.length, wanted: k, count: 'each' });
  let room = cut.room;
  for (let i = 0; i < row.length; i++) {
    const x = row[i] ?? NaN;
    if (!(x > cut.value || (x === cut.value && room-- > 0))) row[i] = -Infinity;
  }
}
