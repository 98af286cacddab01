/**
 * Turns the model's log-odds into the probabilities we act on. It applies Platt's curves and keeps
 * the judgements consistent with each other.
 */
import { CATEGORIES } from '#shared/line/categories.ts';
import { ANY_HARM, sigmoid } from './combine-scores.ts';
import type { Calibration } from './model-format.ts';

/**
 * [judgements] from [judgements]. Each judgement has its own curve, so `any_harm` could come out
 * below a category that it contains. So we raise it to the largest of them.
 */
export function probabilitiesOf(logOdds: Float64Array, calibrations: readonly Calibration[]): number[] {
  const probabilities = Array.from(logOdds, (each, k) => {
    const { slope, offset } = calibrations[k]!;
    return sigmoid(slope * each + offset);
  });
  probabilities[ANY_HARM] = Math.max(probabilities[ANY_HARM]!, ...probabilities.slice(0, CATEGORIES.length));
  return probabilities;
}
