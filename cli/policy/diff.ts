/** `plimsoll policy diff`: what sets two documents apart, and which way each change goes. */
import { Command } from 'commander';
import { type Change, diffPolicies } from '#policies/diff.ts';
import type { LevelName } from '#policies/effective.ts';
import { levelOption, readSoundPolicy } from './policy-files.ts';

type Flags = { level?: LevelName; json: boolean; looser: boolean };

export const diff = () =>
  new Command('diff')
    .description('list what changes from one policy to another, and whether each change tightens or loosens')
    .argument('<before>', 'a policy, as JSON')
    .argument('<after>', 'another one')
    .addOption(levelOption())
    .option('--no-looser', 'exit with 1 if a change loosens, or is neither tighter nor looser')
    .option('--json', 'print a list of the changes', false)
    .action(async (before: string, after: string, { level, json, looser }: Flags) => {
      const [a, b] = await Promise.all([readSoundPolicy(before, level), readSoundPolicy(after, level)]);
      const changes = diffPolicies(a.policy, b.policy);
      if (!looser && changes.some(({ effect }) => effect === 'looser' || effect === 'mixed')) process.exitCode = 1;
      if (json) console.log(JSON.stringify(changes, null, 2));
      else if (changes.length === 0) console.log('no change');
      else for (const change of changes) console.log(lineOf(change));
    });

const WORDS = { tighter: 'tighter', looser: 'LOOSER ', mixed: 'MIXED  ', none: '       ' } as const satisfies Record<
  Change['effect'],
  string
>;

/** A change as people read it. */
export function lineOf({ path, from, to, effect }: Change): string {
  return `${WORDS[effect]}  ${path}: ${shown(from)} -> ${shown(to)}`;
}

/** Longer values are for `--json`. */
const MOST_SHOWN = 100;

function shown(value: unknown): string {
  if (value === undefined) return '(none)';
  const text = JSON.stringify(value);
  return text.length <= MOST_SHOWN ? text : `${text.slice(0, MOST_SHOWN)}...`;
}
