/**
 * What the caller's sampling parameters make of a distribution: p into p~, and p_s into p_s~.
 *
 *     p~[i] = nucleus_topP( exp((lp[i] + bias[i]) / temperature) / Z )
 *
 * Both go through this one function, because the budget compares them. Against a safety expert left at temperature 1,
 * a draw at 0.3 would spend the whole budget on two experts that agree in every word; sharpened alike, agreement costs
 * nothing. Penalties make a distribution depend on the answer so far, which the safety expert's does as well: p_s~ is
 * still one distribution over answers, and the budget's promise holds against it.
 */
import type { SamplingParams } from './gate-types.ts';
import { keepNucleus } from './keep-nucleus.ts';
import { largest } from './log-softmax.ts';

/**
 * The coldest temperature there is: a colder one counts as this. Any two float32 logits that differ are further apart
 * here than a double can show, and yet no quotient of theirs is infinite: an underflow must not look like a mask.
 */
const COLDEST = 1e-250;

export type Shape = Pick<SamplingParams, 'temperature' | 'topP' | 'bias'>;

/**
 * @param logprobs log-probabilities, [vocabulary]
 * @param shape a temperature above 0 (greedy's rule is in greedy-choice.ts), top-p, and nats to add per token
 * @returns log p~, or null where the bias bans every token. Parameters that ask for nothing return the row they got,
 *   so that "no shaping" is exact.
 */
export function shapeDistribution(logprobs: Float64Array, { temperature, topP, bias }: Shape): Float64Array | null {
  if (temperature === 1 && topP === 1 && !bias?.size) return logprobs;

  // A bias for an id outside the row names no token here; writing it into a typed array is without effect.
  const row = logprobs.slice();
  for (const [token, nats] of bias ?? []) row[token] = (row[token] ?? NaN) + nats;

  // The maximum goes first, so that the likeliest token is at 0 for any temperature, however close to freezing.
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
