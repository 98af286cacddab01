/**
 * The least, mean and greatest weight of an answer, one token at a time, for its receipt. Plain data, so that it
 * travels with a GateState.
 *
 *     steps.reduce((summary, step) => addWeight(summary, step.weight), NO_WEIGHTS);
 */
export type RunningWeights = { count: number; min: number; mean: number; max: number };

/** Over no token at all every lower bound holds. The count beside it says how much that is worth. */
export const NO_WEIGHTS: RunningWeights = { count: 0, min: 1, mean: 1, max: 1 };

export function addWeight({ count, min, mean, max }: RunningWeights, weight: number): RunningWeights {
  if (count === 0) return { count: 1, min: weight, mean: weight, max: weight };
  return {
    count: count + 1,
    min: Math.min(min, weight),
    // A running mean, because it stays between the extremes where a sum divided by its count can round past them.
    mean: mean + (weight - mean) / (count + 1),
    max: Math.max(max, weight),
  };
}
