/**
 * Applies the caller's sampling parameters to a distribution: p becomes p~, and p_s becomes p_s~.
 *
 *     p~[i]   = cut( [i allowed] * exp((scale[i]*lp[i] + bias[i]) / temperature) / Z )
 *     p_s~[i] = cut( [i allowed] * exp(lp_s[i] / temperature) / Z )
 *
 * where `cut` is top-k, then top-p of what is left, then min-p (tokens less likely than `minP`
 * times the likeliest are dropped; Nguyen et al., arXiv 2407.01082).
 *
 * Both go through this one function, because the budget compares them. Measured against a safety
 * expert left at temperature 1, draws at 0.3 would spend the whole budget even if both experts
 * agreed on every word. If both are sharpened alike, agreement costs nothing. A mask says what can
 * be said at all, so it is the same for both: nothing else would fit a grammar.
 *
 * Scale and bias apply only to p. They are a client's wishes about words and may follow the answer
 * so far. If the reference followed them too, the client could make a different safety expert of
 * it, for instance one without refusals. A budget measured against that would bound nothing. So
 * callers leave both out for p_s.
 */
import type { SamplingParams } from './gate-types.ts';
import { isAllowed } from './is-allowed.ts';
import { keepNucleus } from './keep-nucleus.ts';
import { keepLikeliest } from './keep-top.ts';
import { largest } from './log-softmax.ts';

/**
 * The lowest temperature in use. A lower one counts as this. At this temperature, two float32
 * logits that differ already end up further apart than the exponentials of doubles can show, yet
 * dividing by it never gives infinity. An underflow must not look like a mask.
 */
const COLDEST = 1e-250;

export type Shape = Omit<SamplingParams, 'key'>;

/**
 * @param logprobs log-probabilities, [vocabulary]
 * @param shape a temperature above 0 (greedy's rule is in greedy-choice.ts) and everything else
 *   that shapes a distribution
 * @returns log p~, or null if masks and bias leave no token. Parameters that change nothing return
 *   the given row itself, so that "no shaping" is exact.
 */
export function shapeDistribution(logprobs: Float64Array, shape: Shape): Float64Array | null {
  const { temperature, topP, topK = 0, minP = 0, mask, allowed, scale, bias } = shape;
  const [cutsK, cutsP, cutsMin] = [topK > 0 && topK < logprobs.length, topP < 1, minP > 0];
  const adjusted = Boolean(mask?.size || allowed || scale?.size || bias?.size);
  if (temperature === 1 && !cutsK && !cutsP && !cutsMin && !adjusted) return logprobs;

  // An id outside the row names no token, and writing it into a typed array has no effect.
  const row = logprobs.slice();
  for (const [token, factor] of scale ?? []) row[token] = (row[token] ?? NaN) * factor;
  for (const [token, nats] of bias ?? []) row[token] = (row[token] ?? NaN) + nats;
  for (const token of mask ?? []) row[token] = -Infinity;
  if (allowed) for (let i = 0; i < row.length; i++) if (!isAllowed(allowed, i)) row[i] = -Infinity;

  // The maximum goes first. So the likeliest token is at 0 at any temperature, however low.
  const max = largest(row);
  const heat = Math.max(temperature, COLDEST);
  for (let i = 0; i < row.length; i++) row[i] = ((row[i] ?? NaN) - max) / heat;
  // Top-k and min-p read logarithms, in which no token's mass is lost.
  if (cutsK) keepLikeliest(row, topK);
  const least = Math.log(minP);

  const masses = new Float64Array(row.length);
  for (let i = 0; i < row.length; i++) masses[i] = Math.exp(row[i] ?? NaN);
  const total = sum(masses);
  if (!(total >= 1)) return null;
  if (cutsP) keepNucleus(masses, { topP, total });
  if (cutsMin) for (let i = 0; i < row.length; i++) if (!((row[i] ?? NaN) >= least)) masses[i] = 0;

  const dropped = cutsP || cutsMin;
  const logTotal = Math.log(dropped ? sum(masses) : total);
  for (let i = 0; i < row.length; i++) {
    row[i] = dropped && masses[i] === 0 ? -Infinity : (row[i] ?? NaN) - logTotal;
  }
  return row;
}

function sum(row: Float64Array): number {
  let total = 0;
  for (let i = 0; i < row.length; i++) total += row[i] ?? NaN;
  return total;
}
