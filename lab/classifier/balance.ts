/**
 * How much each left-out row counts for calibration. A probability needs a stated mixture, and
 * these sources have none of their own: of the unsafe rows and of the harmless ones every source
 * counts alike (a small set by the root of its size: a dozen rows are no voice), and both sides
 * together weigh the same. So "0.5" is said to be right where half of the prompts are unsafe.
 */
import type { Example } from './example.ts';
import { isUnsafe } from './targets.ts';

/** The share of unsafe prompts for which probabilities are meant. */
export const PRIOR = 0.5;

/**
 * One weight per example, of mean 1. Rows of which nobody said whether they are safe are taken for
 * unsafe: they have labels.
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
