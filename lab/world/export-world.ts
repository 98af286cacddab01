/** Writes the small world as JSONL, one file for each kind of row and each side of the split. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { FolderKind } from '#training/run/claim-folder.ts';
import type { Edition } from './editions.ts';
import { generateDialogues, generatePairs, type WorldShares } from './generate.ts';
import { loadTopics } from './load-topics.ts';

/** How many held-out rows we write for each training row. */
const HELDOUT_ROWS_SHARE = 0.1;

const FILES = ['dialogs_train', 'dialogs_heldout', 'pairs_train', 'pairs_heldout'] as const;

export const WORLD_ROWS: FolderKind = {
  what: 'an export of the small world',
  isOurs: (dir) => FILES.every((name) => existsSync(path.join(dir, `${name}.jsonl`))),
  holds: null,
};

/** Yields each file as soon as it is written. The folder `out` must exist. */
export async function* exportWorld(
  out: string,
  {
    dialogues,
    pairs,
    edition,
    ...settings
  }: WorldShares & { seed: number; dialogues: number; pairs: number; edition: Edition },
): AsyncGenerator<{ file: string; rows: number }> {
  const world = { ...settings, topics: loadTopics({ edition }) };
  const heldout = (count: number) => Math.ceil(count * HELDOUT_ROWS_SHARE);
  const make: Record<(typeof FILES)[number], () => readonly object[]> = {
    dialogs_train: () => generateDialogues({ ...world, split: 'train', count: dialogues }),
    dialogs_heldout: () => generateDialogues({ ...world, split: 'heldout', count: heldout(dialogues) }),
    pairs_train: () => generatePairs({ ...world, split: 'train', count: pairs }),
    pairs_heldout: () => generatePairs({ ...world, split: 'heldout', count: heldout(pairs) }),
  };
  for (const name of FILES) {
    const file = path.join(out, `${name}.jsonl`);
    const rows = make[name]();
    await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).values());
    yield { file, rows: rows.length };
  }
}
