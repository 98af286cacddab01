/**
 * Turns sixteen linear scores into one log-odds per judgement. "Is this harmful?" and "if so, of
 * which kind?" are different questions: a question about drugs is about drugs whether a pharmacist
 * or a dealer asks it. So one column says whether there is harm, learned from everything harmful or
 * benign. The categories are learned only among harmful prompts:
 *
 *     P(category) = P(harm) * P(category | harm)
 *     P(category | harm) = t / (1 - product of all (1 - t))
 *
 * where t is the sigmoid of a category's score. The divisor is the condition: harm is harm of at
 * least one category. `jailbreak` is about a prompt's form, not its subject, and stands alone.
 * `any_harm` answers the first question:
 *
 *     P(any) = P(harm)
 *
 * It is at least every P(category), since a category's own factor is at most 1, and it rises with
 * all of them. A noisy-or over the calibrated categories would, in a long text, add up doubts about
 * different sentences.
 */
import { CATEGORIES, JUDGEMENTS, LABELS } from '#shared/line/categories.ts';

/** The labels' scores in the order of `LABELS`, then harm's. */
export const COLUMNS = LABELS.length + 1;
export const HARM_COLUMN = LABELS.length;
/** The place of `any_harm` among the judgements. */
export const ANY_HARM = JUDGEMENTS.indexOf('any_harm');

/**
 * Log-odds are cut off at this probability and at 1 minus it. Beyond that they would say nothing
 * more.
 */
const LEAST = 1e-9;

/**
 * Writes [judgements] log-odds to `out` from [labels + 1] scores. Finite scores give finite
 * log-odds.
 */
export function combineScores(scores: Float64Array, out: Float64Array): void {
  const harm = sigmoid(scores[HARM_COLUMN]!);
  let none = 1;
  for (let k = 0; k < CATEGORIES.length; k++) none *= 1 - sigmoid(scores[k]!);
  const some = Math.max(1 - none, LEAST);
  for (let k = 0; k < LABELS.length; k++) {
    const score = scores[k]!;
    out[k] = k < CATEGORIES.length ? logOdds((harm * sigmoid(score)) / some) : score;
  }
  out[ANY_HARM] = scores[HARM_COLUMN]!;
}

/**
 * Both branches keep the exponent negative, so it never overflows and a finite score never gives
 * NaN.
 */
export function sigmoid(score: number): number {
  if (score >= 0) return 1 / (1 + Math.exp(-score));
  const e = Math.exp(score);
  return e / (1 + e);
}

function logOdds(probability: number): number {
  const p = Math.min(1 - LEAST, Math.max(LEAST, probability));
  return Math.log(p / (1 - p));
}
