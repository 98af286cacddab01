/** `plimsoll policy validate`: whether documents are policies, with every fault. */
import { Command } from 'commander';
import type { LevelName } from '#policies/effective.ts';
import { faultsOf, levelOption, readPolicyFiles } from './policy-files.ts';

type Flags = { level?: LevelName; json: boolean };

export const validate = () =>
  new Command('validate')
    .alias('check')
    .description('say whether policies are valid, and list every fault of those that are not; exits with 1 then')
    .argument('<place...>', 'policies as JSON, or folders of them')
    .addOption(levelOption())
    .option('--json', 'print a list with file, level, version and problems of each', false)
    .action(async (places: string[], { level, json }: Flags) => {
      const files = await readPolicyFiles(places, level);
      if (files.some(({ policy }) => policy === null)) process.exitCode = 1;
      if (json) {
        console.log(
          JSON.stringify(
            files.map(({ policy: _, ...about }) => about),
            null,
            2,
          ),
        );
        return;
      }
      for (const read of files) {
        if (read.policy === null) console.error([`${read.file} is not a valid policy`, ...faultsOf(read)].join('\n'));
        else console.log(`${read.file} is a valid policy${ofLevel(read.level)}, version ${read.version}`);
      }
    });

const ofLevel = (level: LevelName) => (level === 'tenant' ? '' : ` (${level})`);
