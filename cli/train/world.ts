import { Command, InvalidArgumentError, Option } from 'commander';
import { EDITIONS } from '#lab/world/editions.ts';
import { exportWorld, WORLD_ROWS } from '#lab/world/export-world.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { share } from '../options/numbers.ts';

export const world = () =>
  new Command('world')
    .description(
      'write the small world as JSONL, labelled dialogues and pairs of answers: ' +
        'dialogs_train, dialogs_heldout, pairs_train, pairs_heldout',
    )
    .requiredOption('--out <dir>', 'folder to write to; made if missing')
    .option('--force', 'replace an earlier export in --out', false)
    .option('--seed <n>', 'same seed, same rows', parseCount, 1)
    .option('--dialogues <n>', 'training dialogues; a tenth as many are held out', parseCount, 20_000)
    .option('--pairs <n>', 'training pairs; a tenth as many are held out', parseCount, 10_000)
    .addOption(new Option('--edition <name>', 'which topics').choices(EDITIONS).default('first'))
    .option('--jailbreak-share <x>', 'share of harmful questions put in a jailbreak frame', share, 0)
    .option('--multi-turn-share <x>', 'share of rows with a conversation before the question', share, 0)
    .action(async ({ out, force, ...options }) => {
      claimFolder(out, { kind: WORLD_ROWS, force });
      for await (const { file, rows } of exportWorld(out, options)) console.log(`${file}: ${rows} rows`);
    });

function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('expected a whole number');
  return Number(text);
}
