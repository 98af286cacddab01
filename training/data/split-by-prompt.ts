/**
 * Decides which rows are kept from training: all rows of some prompts, never just some rows of a
 * prompt. PKU-SafeRLHF has about four pairs to a prompt, so a split by row would test a model on
 * questions it was trained on.
 */
import type { Message } from '#shared/protocol/generate.ts';
import { openingTurn, promptKey } from './prompt-key.ts';
import { hashToUnit } from './random.ts';

/**
 * A row's side depends only on the seed and a hash of its prompt (the normalised opening turn). So
 * adding rows, leaving some out or moving them to another file changes the side of no other row,
 * and no prompt is on both sides. `heldOut` is a share of the prompts, in [0, 1]. The share of the
 * rows differs where prompts have many rows.
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
