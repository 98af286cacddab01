/**
 * Which rows are kept from training: those of some prompts, never some rows of a prompt. PKU-SafeRLHF has about four pairs
 * to a prompt, so a split by row would examine a model on questions it was trained on.
 */
import type { Message } from '#shared/protocol/generate.ts';
import { openingTurn, promptKey } from './prompt-key.ts';
import { hashToUnit } from './random.ts';

/**
 * A row's side is a hash of its prompt (the normalised opening turn) and the seed alone: rows added, left out or moved to
 * another file change the side of no other row, and no prompt is on both sides. `heldOut` is a share of the prompts, in
 * [0, 1]; the share of the rows differs where prompts have many rows.
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
