/** The last lines of a stage: what came of it, and what one would run next. */
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { runSummary } from '#training/run/run-summary.ts';
import type { BaseFlags } from './flags.ts';

/** Prints the summary of the run in `dir`. `next` is a command without `plimsoll train`. */
export async function printSummary(label: string, dir: string, next: string): Promise<void> {
  const [first, ...others] = await runSummary(dir);
  console.log([`${label}: ${first}`, ...others.map((line) => `  ${line}`), `  next: ${command(next)}`].join('\n'));
}

export const command = (args: string) => `npx plimsoll train ${args}`;

/** The flags with which a later stage names the same base. */
export const onBase = ({ base, tokenizer }: BaseFlags) =>
  `--base ${base}${tokenizer === undefined ? '' : ` --tokenizer ${tokenizer}`}`;

/** The other expert, then both in a bundle. */
export function afterExpert(role: ExpertRole, flags: BaseFlags, out: string): string {
  const other = ExpertRole.options.find((name) => name !== role)!;
  const runs = ExpertRole.options.map((name) => (name === role ? out : `${other.toUpperCase()}_RUN`)).join(' ');
  return `expert --role ${other} ${onBase(flags)} --out ${other.toUpperCase()}_RUN, then export ${onBase(flags)} --experts ${runs} --out BUNDLE --id NAME`;
}
