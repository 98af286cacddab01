/**
 * Top-k: the k likeliest tokens of a distribution and nothing else, dividing again by what they sum
 * to. Of equals, the lowest ids.
 *
 * @param logprobs log-probabilities, [vocabulary]
 * @param k from 1 on; where it takes in every token, the row comes back as it is
 */
import { logSoftmax } from './log-softmax.ts';

export function keepTop(logprobs: Float64Array, k: number): Float64Array | null {
  if (k >= logprobs.length) return logprobs;
  // A sort, because this is for truncated rows, a few hundred tokens long.
  const order = Array.from(logprobs.keys()).sort((a, b) => (logprobs[b] ?? NaN) - (logprobs[a] ?? NaN) || a - b);
  const row = new Float64Array(logprobs.length).fill(-Infinity);
  for (const i of order.slice(0, k)) row[i] = logprobs[i] ?? NaN;
  return logSoftmax(row);
}
