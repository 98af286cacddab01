/**
 * From sixteen linear scores to one log-odds per judgement. "Is this harmful?" and "if so, of which
 * kind?" are different questions: a question about drugs is about drugs whether it is a
 * pharmacist's or a dealer's. So a column of its own says whether there is harm, learned from
 * everything harmful or benign, and the categories are learned among harmful prompts only:
 *
 *   P(category) = P(harm) * P(category | harm),   P(category | harm) = t / (1 - product of all (1 - t))
 *
 * with t the sigmoid of a category's score. The divisor is the condition: harm is harm of at least
 * one category. `jailbreak` is about the form of a prompt, not its subject, and stands alone.
 * `any_harm` is the first question's answer:
 *
 *   P(any) = P(harm)
 *
 * It is at least every P(category), since a category's own factor is at most 1, and rises with them
 * all. A noisy-or over the calibrated categories was as good on single prompts when the two were
 * compared, with earlier weights (ROC-AUC on held-out contrast templates 0.788 here, 0.786 there;
 * BeaverTails 0.917, 0.927), but in a long text it adds up doubts of different sentences.
 */
import { CATEGORIES, JUDGEMENTS, LABELS } from '#shared/line/categories.ts';

/** The labels' scores in the order of `LABELS`, then harm's. */
export const COLUMNS = LABELS.length + 1;
export const HARM_COLUMN = LABELS.length;
/** Where `any_harm` stands among the judgements. */
export const ANY_HARM = JUDGEMENTS.indexOf('any_harm');

/** Log-odds beyond these say nothing that a probability of 1e-9 does not. */
const LEAST = 1e-9;

/** Writes [judgements] log-odds to `out` from [labels + 1] scores; finite for finite scores. */
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

/** Both branches keep the exponent negative: no overflow, and never NaN for a finite score. */
export function sigmoid(score: number): number {
  if (score >= 0) return 1 / (1 + Math.exp(-score));
  const e = Math.exp(score);
  return e / (1 + e);
}

function logOdds(probability: number): number {
  const p = Math.min(1 - LEAST, Math.max(LEAST, probability));
  return Math.log(p / (1 - p));
}
