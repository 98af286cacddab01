/**
 * How much each left-out row counts in calibration. A probability only means something for a stated
 * mix of prompts, and these sources have no mix of their own, so we state one. Unsafe and harmless
 * prompts weigh the same. On each side, the weight of a source grows with the square root of its
 * size, so that a large set does not drown the others and a dozen rows have little say. So the
 * probabilities are meant to be right when half of the prompts are unsafe.
 */
import type { Example } from './example.ts';
import { isUnsafe } from './targets.ts';

/** The share of unsafe prompts that the probabilities are meant for. */
export const PRIOR = 0.5;

/**
 * One weight per example, with mean 1. If the source does not say whether a row is safe, the row
 * counts as unsafe, because it has labels.
 */
export function balancedWeights(examples: readonly Example[]): number[] {
  const keys = examples.map((example) => ({ side: isUnsafe(example) === false ? 0 : 1, source: example.source }));
  const keyOf = ({ side, source }: (typeof keys)[number]) => `${side}/${source}`;
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(keyOf(key), (counts.get(keyOf(key)) ?? 0) + 1);
  const raw = keys.map((key) => 1 / Math.sqrt(counts.get(keyOf(key))!));
  const totals = [0, 0];
  for (const [i, { side }] of keys.entries()) totals[side]! += raw[i]!;
  return raw.map((weight, i) => {
    const { side } = keys[i]!;
    return (weight / totals[side]!) * (side === 1 ? PRIOR : 1 - PRIOR) * examples.length;
  });
}
