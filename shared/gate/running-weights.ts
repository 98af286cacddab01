/**
 * The least, mean and greatest weight of an answer, for its receipt, updated one token at a time.
 * Plain data, so that it travels with a GateState.
 *
 *     steps.reduce((weights, step) => addWeight(weights, step.weight), NO_WEIGHTS);
 */
export type RunningWeights = { count: number; min: number; mean: number; max: number };

/**
 * The weights before the first token. Every lower bound holds for them, and the count shows that
 * there was no token yet.
 */
export const NO_WEIGHTS: RunningWeights = { count: 0, min: 1, mean: 1, max: 1 };

export function addWeight({ count, min, mean, max }: RunningWeights, weight: number): RunningWeights {
  if (count === 0) return { count: 1, min: weight, mean: weight, max: weight };
  return {
    count: count + 1,
    min: Math.min(min, weight),
    // A running mean stays between the extremes. A sum divided by its count can round past them.
    mean: mean + (weight - mean) / (count + 1),
    max: Math.max(max, weight),
  };
}
