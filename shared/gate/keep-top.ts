/**
 * Top-k: keeps the k likeliest tokens of a distribution and renormalises them. Among equals, it
 * keeps the lowest ids.
 *
 * @param logprobs log-probabilities, [vocabulary]
 * @param k at least 1; if it covers every token, the row is returned unchanged
 */
import { logSoftmax } from './log-softmax.ts';

export function keepTop(logprobs: Float64Array, k: number): Float64Array | null {
  if (k >= logprobs.length) return logprobs;
  // Sorting will do: this is for truncated rows, a few hundred tokens long.
  const order = Array.from(logprobs.keys()).sort((a, b) => (logprobs[b] ?? NaN) - (logprobs[a] ?? NaN) || a - b);
  const row = new Float64Array(logprobs.length).fill(-Infinity);
  for (const i of order.slice(0, k)) row[i] = logprobs[i] ?? NaN;
  return logSoftmax(row);
}
