/** From the model's log-odds to the probabilities that are acted on: Platt's curves, and what holds between judgements. */
import { CATEGORIES } from '#shared/line/categories.ts';
import { ANY_HARM, sigmoid } from './combine-scores.ts';
import type { Calibration } from './model-format.ts';

/**
 * [judgements] from [judgements]. Each has a curve of its own, so `any_harm` could come out below a category that it contains;
 * it is at least the largest of them.
 */
export function probabilitiesOf(logOdds: Float64Array, calibrations: readonly Calibration[]): number[] {
  const probabilities = Array.from(logOdds, (each, k) => {
    const { slope, offset } = calibrations[k]!;
    return sigmoid(slope * each + offset);
  });
  probabilities[ANY_HARM] = Math.max(probabilities[ANY_HARM]!, ...probabilities.slice(0, CATEGORIES.length));
  return probabilities;
}
