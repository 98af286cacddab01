/**
 * A run goes on only with the settings that it began with. Digests of what it reads are among them:
 * of the base, of the data, of the runs that it builds on.
 */
import type { RunState } from './checkpoint-files.ts';

type Settings = RunState['settings'];

/** Later versions added these settings. An older run continues without them. */
const LATER_SETTINGS: readonly string[] = ['tokenizer', 'data', 'fileRows', 'parents', 'targets'];

/** What the digests of a setting are of. `name` is the key of one of several digests. */
const DIGESTS: Readonly<Record<string, (name: string) => string>> = {
  base: () => 'base',
  tokenizer: () => 'tokenizer',
  data: (name) => `rows (${name})`,
  fileRows: (name) => `rows of ${name}`,
  parents: (name) => `run given as ${name}`,
};

/** `at` is the checkpoint, for the error. Settings in `mayDiffer` are not compared. */
export function assertSameSettings(
  found: Settings,
  wanted: Settings,
  { at, mayDiffer = [] }: { at: string; mayDiffer?: readonly string[] },
): void {
  for (const key of new Set([...Object.keys(found), ...Object.keys(wanted)])) {
    if (mayDiffer.includes(key) || isOlder(key, found[key])) continue;
    const [was, is] = [JSON.stringify(found[key]), JSON.stringify(wanted[key])];
    if (was === is) continue;
    const other = key in DIGESTS ? differingDigest(found[key], wanted[key]) : null;
    if (other !== null) {
      const what = DIGESTS[key]!(other.name);
      throw new Error(
        `${at} was made with the ${what} of SHA-256 ${other.was}, now it is ${other.is}: ` +
          `give the ${what} that it was made with, or start anew in another folder`,
      );
    }
    throw new Error(
      `${at} was made with ${key} = ${was ?? 'unset'}, this run has ${is ?? 'unset'}: give the old value or start anew in another folder`,
    );
  }
}

/** Runs used to keep the number of steps of their base, which says nothing about its weights. */
function isOlder(key: string, found: unknown): boolean {
  return (found === undefined && LATER_SETTINGS.includes(key)) || (key === 'base' && typeof found === 'number');
}

/** The first digest that differs, of one or of several by name. Null if these are no digests. */
function differingDigest(found: unknown, wanted: unknown): { name: string; was: string; is: string } | null {
  const [before, now] = [byName(found), byName(wanted)];
  if (before === null || now === null) return null;
  const name = [...new Set([...Object.keys(before), ...Object.keys(now)])].find((key) => before[key] !== now[key]);
  return name === undefined ? null : { name, was: before[name] ?? 'nothing', is: now[name] ?? 'nothing' };
}

function byName(value: unknown): Record<string, string> | null {
  if (typeof value === 'string') return { '': value };
  if (typeof value !== 'object' || value === null) return null;
  const entries = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(entries);
}
