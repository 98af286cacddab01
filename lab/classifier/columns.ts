/**
 * What an example teaches the model's columns. One column learns whether there is harm, the
 * category columns learn which kind of harm it is, and a separate one learns whether the prompt is
 * a jailbreak.
 */
import { CATEGORIES } from '#shared/line/categories.ts';
import type { Example } from './example.ts';

/** Whether an example is harmful in any category, from 0 to 1. Null if unknown. */
export function harmOf({ targets, someHarm }: Pick<Example, 'targets' | 'someHarm'>): number | null {
  if (someHarm) return 1;
  const known = targets.slice(0, CATEGORIES.length).filter((target) => target !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/**
 * One target per column, in the order of `combineScores`. A category learns only from harmful
 * examples: "given that this is harmful, is it of my kind?" A borderline question answers that with
 * a full yes, while its harm stays in doubt.
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
