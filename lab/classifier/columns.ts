/** What an example teaches the model's columns: whether there is harm, of which kind if there is, and jailbreak by itself. */
import { CATEGORIES } from '#shared/line/categories.ts';
import type { Example } from './example.ts';

/** Whether an example is harmful in any category, 0 to 1; null where nobody said. */
export function harmOf({ targets, someHarm }: Pick<Example, 'targets' | 'someHarm'>): number | null {
  if (someHarm) return 1;
  const known = targets.slice(0, CATEGORIES.length).filter((target) => target !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/**
 * One target per column, in the order of `combineScores`. Categories learn only where there is harm: "given that it is
 * harmful, is it this?", which a borderline question answers with a whole yes while its harm stays in doubt.
 */
export function columnTargets(example: Pick<Example, 'targets' | 'someHarm'>): (number | null)[] {
  const harm = harmOf(example);
  const { targets, someHarm } = example;
  const ofKind = targets.slice(0, CATEGORIES.length).map((target) => {
    if (harm === null || harm === 0 || someHarm || target === null) return null;
    return target > 0 ? 1 : 0;
  });
  return [...ofKind, ...targets.slice(CATEGORIES.length), harm];
}
