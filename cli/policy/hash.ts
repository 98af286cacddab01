/** `plimsoll policy hash`: the version that a document would get. */
import { Command } from 'commander';
import type { LevelName } from '#policies/effective.ts';
import { levelOption, readSoundPolicy } from './policy-files.ts';

export const hash = () =>
  new Command('hash')
    .description('print the version that this policy would get: a digest of its content')
    .argument('<file>', 'the policy, as JSON')
    .addOption(levelOption())
    .action(async (file: string, { level }: { level?: LevelName }) => {
      console.log((await readSoundPolicy(file, level)).version);
    });
