/** Writes the small world out as JSONL, one file for each kind of row and side of the split. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { share } from '#training/cli-numbers.ts';
import { WORLD_ROWS } from '#training/commands/folder-kinds.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { EDITIONS, type Edition } from './editions.ts';
import { generateDialogues, generatePairs } from './generate.ts';
import { loadTopics } from './load-topics.ts';

/** The held-out files hold this share of the number of training rows. */
const HELDOUT_ROWS_SHARE = 0.1;

const command = new Command('export-world')
  .description(
    'Write labelled dialogues and answer pairs as JSONL: dialogs_train, dialogs_heldout, pairs_train, pairs_heldout.',
  )
  .requiredOption('--out <dir>', 'folder to write to; made if missing')
  .option('--force', 'replace an earlier export in --out', false)
  .option('--seed <n>', 'same seed, same rows', parseCount, 1)
  .option('--dialogues <n>', 'training dialogues; a tenth as many are held out', parseCount, 20_000)
  .option('--pairs <n>', 'training pairs; a tenth as many are held out', parseCount, 10_000)
  .addOption(new Option('--edition <name>', 'which topics').choices(EDITIONS).default('first'))
  .option('--jailbreak-share <x>', 'share of harmful questions in a jailbreak frame', share, 0)
  .option('--multi-turn-share <x>', 'share of rows with a conversation before the question', share, 0)
  .parse();
const { out, force, dialogues, pairs, edition, ...settings } = command.opts<{
  out: string;
  force: boolean;
  seed: number;
  dialogues: number;
  pairs: number;
  edition: Edition;
  jailbreakShare: number;
  multiTurnShare: number;
}>();

const world = { ...settings, topics: loadTopics({ edition }) };
const heldout = (count: number) => Math.ceil(count * HELDOUT_ROWS_SHARE);
claimFolder(out, { kind: WORLD_ROWS, force });
await writeRows('dialogs_train', generateDialogues({ ...world, split: 'train', count: dialogues }));
await writeRows('dialogs_heldout', generateDialogues({ ...world, split: 'heldout', count: heldout(dialogues) }));
await writeRows('pairs_train', generatePairs({ ...world, split: 'train', count: pairs }));
await writeRows('pairs_heldout', generatePairs({ ...world, split: 'heldout', count: heldout(pairs) }));

async function writeRows(name: string, rows: readonly object[]): Promise<void> {
  const file = path.join(out, `${name}.jsonl`);
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).values());
  console.log(`${file}: ${rows.length} rows`);
}

function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('expected a whole number');
  return Number(text);
}
