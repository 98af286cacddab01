/**
 * Applies the caller's sampling parameters to a distribution: p becomes p~, and p_s becomes p_s~.
 *
 *     p~[i]   = nucleus_topP( [i not masked] * exp((lp[i] + bias[i]) / temperature) / Z )
 *     p_s~[i] = nucleus_topP( [i not masked] * exp(lp_s[i] / temperature) / Z )
 *
 * Both go through this one function, because the budget compares them. Measured against a safety
 * expert left at temperature 1, draws at 0.3 would spend the whole budget even if both experts
 * agreed on every word. If both are sharpened alike, agreement costs nothing. A mask says what can
 * be said at all, so it is the same for both: nothing else would fit a grammar.
 *
 * The bias applies only to p. It is a client's wish about words and may follow the answer so far.
 * If the reference followed it too, the client could make a different safety expert of it, for
 * instance one without refusals. A budget measured against that would bound nothing. So callers
 * leave the bias out for p_s.
 */
import type { SamplingParams } from './gate-types.ts';
import { keepNucleus } from './keep-nucleus.ts';
import { largest } from './log-softmax.ts';

/**
 * The lowest temperature in use. A lower one counts as this. At this temperature, two float32
 * logits that differ already end up further apart than the exponentials of doubles can show, yet
 * dividing by it never gives infinity. An underflow must not look like a mask.
 */
const COLDEST = 1e-250;

export type Shape = Pick<SamplingParams, 'temperature' | 'topP' | 'mask' | 'bias'>;

/**
 * @param logprobs log-probabilities, [vocabulary]
 * @param shape a temperature above 0 (greedy's rule is in greedy-choice.ts), top-p, tokens to leave
 *   out, and nats to add
 * @returns log p~, or null if mask and bias leave no token. Parameters that change nothing return
 *   the given row itself, so that "no shaping" is exact.
 */
export function shapeDistribution(
  logprobs: Float64Array,
  { temperature, topP, mask, bias }: Shape,
): Float64Array | null {
  if (temperature === 1 && topP === 1 && !mask?.size && !bias?.size) return logprobs;

  // An id outside the row names no token, and writing it into a typed array has no effect.
  const row = logprobs.slice();
  for (const [token, nats] of bias ?? []) row[token] = (row[token] ?? NaN) + nats;
  for (const token of mask ?? []) row[token] = -Infinity;

  // The maximum goes first. So the likeliest token is at 0 at any temperature, however low.
  const max = largest(row);
  const heat = Math.max(temperature, COLDEST);
  const masses = new Float64Array(row.length);
  let total = 0;
  for (let i = 0; i < row.length; i++) {
    const heated = ((row[i] ?? NaN) - max) / heat;
    row[i] = heated;
    const mass = Math.exp(heated);
    masses[i] = mass;
    total += mass;
  }
  if (!(total >= 1)) return null;

  const kept = topP < 1 ? keepNucleus(masses, { topP, total }) : null;
  const logTotal = Math.log(kept ? sum(kept) : total);
  for (let i = 0; i < row.length; i++) row[i] = kept?.[i] === 0 ? -Infinity : (row[i] ?? NaN) - logTotal;
  return row;
}

function sum(row: Float64Array): number {
  let total = 0;
  for (let i = 0; i < row.length; i++) total += row[i] ?? NaN;
  return total;
}
