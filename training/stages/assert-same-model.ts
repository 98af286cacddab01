/**
 * Weights are useful only with the tokenizer and on the base that they were trained with. So a run
 * keeps the digests of both, and whoever opens the run compares them. Older runs have no digests,
 * and we trust them.
 */
import type { RunState } from '../run/checkpoint-files.ts';
import type { BaseModel } from './base-model.ts';

type Settled = Pick<RunState, 'settings'>;

/** `dir` is the folder of the run that `state` belongs to. */
export function assertTokenizer(dir: string, { settings }: Settled, { digest }: { digest: string }): void {
  const trainedWith = settings.tokenizer;
  if (trainedWith === undefined || trainedWith === digest) return;
  throw new Error(
    `${dir} was trained with another tokenizer (SHA-256 ${trainedWith}) than this one (${digest}): give the one it was trained with`,
  );
}

/** For runs that were trained on a base: tokenizer and base must be those of `base`. */
export function assertSameModel(
  dir: string,
  state: Settled,
  base: Pick<BaseModel, 'dir' | 'digest' | 'tokenizer'>,
): void {
  assertTokenizer(dir, state, base.tokenizer);
  const trainedOn = state.settings.base;
  if (typeof trainedOn !== 'string' || trainedOn === base.digest) return;
  throw new Error(
    `${dir} was trained on another base (SHA-256 ${trainedOn}) than ${base.dir} (${base.digest}): ` +
      'give the base it was trained on, or train it anew on this one',
  );
}

/** A run that others build on: which weights it gave them. */
export type Parent = { dir: string; digest: string };

/**
 * Throws unless the run in `dir`, which was trained with other runs' weights, was trained with
 * these. `parents` has them under the names of the flags that gave them.
 */
export function assertSameParents(
  dir: string,
  { settings }: Settled,
  parents: Readonly<Record<string, Parent | undefined>>,
): void {
  const kept = settings.parents as Record<string, unknown> | undefined;
  for (const [name, parent] of Object.entries(parents)) {
    const trainedWith = kept?.[name];
    if (parent === undefined || typeof trainedWith !== 'string' || trainedWith === parent.digest) continue;
    throw new Error(
      `${dir} was trained with another ${name} run (SHA-256 ${trainedWith}) than ${parent.dir} (${parent.digest}): ` +
        'give the run it was trained with, or train it anew with this one',
    );
  }
}
