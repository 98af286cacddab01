/**
 * What the caller's sampling parameters make of a distribution: p becomes p~, and p_s becomes p_s~.
 *
 *     p~[i]   = nucleus_topP( [i not masked] * exp((lp[i] + bias[i]) / temperature) / Z )
 *     p_s~[i] = nucleus_topP( [i not masked] * exp(lp_s[i] / temperature) / Z )
 *
 * Both go through this one function, because the budget compares them. Against a safety expert left
 * at temperature 1, a draw at 0.3 would spend the whole budget on two experts that agree in every
 * word. Sharpened alike, agreement costs nothing. A mask says what can be said at all, so it is the
 * same for both: nothing else would fit a grammar.
 *
 * The bias stops at p. It is a client's wish about words and may follow the answer so far. A
 * reference that followed it would be whatever the wish makes of the safety expert, for instance
 * one without its refusals. A budget against that would be no bound at all. So callers leave the
 * bias out for p_s.
 */
import type { SamplingParams } from './gate-types.ts';
import { keepNucleus } from './keep-nucleus.ts';
import { largest } from './log-softmax.ts';

/**
 * The coldest temperature there is. A colder one counts as this. Two float32 logits that differ are
 * further apart here than a double can show, and still none of their quotients is infinite. An
 * underflow must not look like a mask.
 */
const COLDEST = 1e-250;

export type Shape = Pick<SamplingParams, 'temperature' | 'topP' | 'mask' | 'bias'>;

/**
 * @param logprobs log-probabilities, [vocabulary]
 * @param shape a temperature above 0 (greedy's rule is in greedy-choice.ts), top-p, tokens to leave
 *   out, and nats to add
 * @returns log p~, or null if mask and bias leave no token. Parameters that ask for nothing return
 *   the row they got, so that "no shaping" is exact.
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

  // The maximum goes first. So the likeliest token is at 0 at any temperature, however close to
  // freezing.
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
