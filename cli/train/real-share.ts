import { Command, Option } from 'commander';
import { REAL_SHARE_RUNS } from '#lab/demo/folder-kinds.ts';
import { realShareTrial } from '#lab/demo/real-share-trial.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { dataOption } from '../options/data-option.ts';
import { integer, positiveInteger, share } from '../options/numbers.ts';

const DEFAULT_SHARES = [0, 0.05, 0.15, 0.3] as const;

export const realShare = () =>
  new Command('real-share')
    .description('find out how much real text the demo base can take: compare short runs at several shares')
    .addOption(
      new Option('--shares <x...>', 'shares of real conversations')
        .argParser((text, all: number[]) => [...all, share(text)])
        .default([], DEFAULT_SHARES.join(' ')),
    )
    .option('--steps <n>', 'updates of each run', positiveInteger, 400)
    .option('--world <n>', 'dialogues of the small world', integer, 10_000)
    .option('--out <dir>', 'where checkpoints and metrics go', 'runs/real-share')
    .addOption(dataOption('folder with the real conversations'))
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
    .action(async ({ shares, world: dialogues, ...flags }) => {
      flags.out = claimFolder(flags.out, { kind: REAL_SHARE_RUNS, resume: true });
      console.log(
        await realShareTrial({ ...flags, dialogues, shares: shares.length > 0 ? shares : [...DEFAULT_SHARES] }),
      );
    });
