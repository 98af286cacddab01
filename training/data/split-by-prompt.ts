/**
 * Decides which rows to hold out: all rows of some prompts, never only some rows of a prompt.
 * PKU-SafeRLHF has about four pairs per prompt, so a split by row would test a model on questions
 * that it was trained on.
 */
import type { Message } from '#shared/protocol/generate.ts';
import { openingTurn, promptKey } from './prompt-key.ts';
import { hashToUnit } from './random.ts';

/**
 * A row's side depends only on the seed and a hash of its prompt (the normalised opening turn). So
 * you can add rows, leave some out or move them to another file, and all other rows keep their
 * side. No prompt is on both sides. `heldOut` is a share of the prompts, in [0, 1]. If prompts have
 * different numbers of rows, the share of the rows differs.
 */
export function splitByPrompt<T extends { prompt: readonly Message[] }>(
  rows: Iterable<T>,
  { seed, heldOut: share }: { seed: number | string; heldOut: number },
): { train: T[]; heldOut: T[] } {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`the held-out share is ${share}; it lies in [0, 1]`);
  const train: T[] = [];
  const heldOut: T[] = [];
  for (const row of rows) {
    const place = hashToUnit(`${seed}/split/${promptKey(openingTurn(row.prompt))}`);
    (place < share ? heldOut : train).push(row);
  }
  return { train, heldOut };
}
