/** What is known about an example for each of the classifier's judgements. */
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { harmOf } from './columns.ts';
import type { Example } from './example.ts';

/** The target of the k-th of `JUDGEMENTS`, from 0 to 1, or null if unknown. */
export function targetOf(example: Pick<Example, 'targets' | 'someHarm'>, k: number): number | null {
  return k === ANY_HARM ? harmOf(example) : example.targets[k]!;
}

/** True for harm or a jailbreak, false for neither, null if unknown. */
export function isUnsafe(example: Pick<Example, 'targets' | 'someHarm'>): boolean | null {
  const jailbreak = example.targets.at(-1);
  const harm = harmOf(example);
  if (jailbreak === 1 || harm === 1) return true;
  return jailbreak === 0 && harm === 0 ? false : null;
}
