/** Figures for a batch of pairs, besides its loss. */
import type { PairScores } from './pair-set.ts';

/** The share of gaps above zero. Each tie counts as a half. */
export function shareAbove(gaps: ArrayLike<number>): number {
  let right = 0;
  for (let i = 0; i < gaps.length; i++) right += gaps[i]! > 0 ? 1 : gaps[i] === 0 ? 0.5 : 0;
  return right / gaps.length;
}

/**
 * The share of pairs whose chosen answer gained on the rejected one, and the mean implicit reward
 * difference, beta * delta, in nats.
 */
export function preferenceFigures(delta: ArrayLike<number>, beta: number): { accuracy: number; margin: number } {
  let sum = 0;
  for (let i = 0; i < delta.length; i++) sum += delta[i]!;
  return { accuracy: shareAbove(delta), margin: (beta * sum) / delta.length };
}

/**
 * The same figures for a held-out set, from its log-probabilities now and under the reference, and
 * DPO's loss on it without any margin.
 */
export function heldOutFigures(
  now: PairScores,
  { reference, beta }: { reference: PairScores; beta: number },
): { heldOutLoss: number; heldOutAccuracy: number; heldOutMargin: number } {
  const deltas = [...now].map(([item, [chosen, rejected]]) => {
    const [chosenRef, rejectedRef] = reference.get(item)!;
    return chosen - chosenRef - (rejected - rejectedRef);
  });
  const { accuracy, margin } = preferenceFigures(deltas, beta);
  const heldOutLoss = deltas.reduce((sum, delta) => sum + negativeLogSigmoid(beta * delta), 0) / deltas.length;
  return { heldOutLoss, heldOutAccuracy: accuracy, heldOutMargin: margin };
}

/** -log sigma(x), for any x. */
export function negativeLogSigmoid(x: number): number {
  return Math.log1p(Math.exp(-Math.abs(x))) + Math.max(0, -x);
}

/**
 * Expected calibration error (Guo et al., arXiv 1706.04599) of a model's probabilities of being
 * right: the average difference between its confidence and the share that was right, over ten bins
 * of confidence.
 */
export function calibrationError(predictions: readonly { probability: number; right: boolean }[], bins = 10): number {
  const count = new Float64Array(bins);
  const confidence = new Float64Array(bins);
  const correct = new Float64Array(bins);
  for (const { probability, right } of predictions) {
    const bin = Math.min(bins - 1, Math.floor(probability * bins));
    count[bin]! += 1;
    confidence[bin]! += probability;
    correct[bin]! += Number(right);
  }
  let error = 0;
  for (let bin = 0; bin < bins; bin++) error += Math.abs(confidence[bin]! - correct[bin]!);
  return error / predictions.length;
}
