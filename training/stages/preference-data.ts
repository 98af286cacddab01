/**
 * The pairs that an expert learns from. They are generated, with a split of their own, or come from
 * files in any layout of `PREFERENCE_LAYOUTS`, which we split by prompt. A prompt on both sides is
 * an error, wherever it came from.
 */

import { digestOfRows } from '../data/digest-of-rows.ts';
import { judgedOtherwise } from '../data/judged-for.ts';
import { assertNoLeak } from '../data/leakage.ts';
import { type FileOrigin, withOrigins } from '../data/origins.ts';
import { type Dimension, PREFERENCE_LAYOUTS } from '../data/preferences.ts';
import { openingTurn, promptKey } from '../data/prompt-key.ts';
import type { Preference } from '../data/rows.ts';
import { describeSkips, noSkips, type Skips } from '../data/skips.ts';
import { splitByPrompt } from '../data/split-by-prompt.ts';
import { splitName } from '../data/split-name.ts';

/** The share of a file's prompts that is held out. */
export const HELD_OUT_SHARE = 0.1;
/**
 * The seed of the split. It is not the run's seed, because no run, whatever its stage and seed, may
 * train on what another run holds out.
 */
export const SPLIT_SEED = 'preferences';

export type SplitPairs = { train: Preference[]; heldOut: Preference[] };
/** `fileRows` has the digest of each file's rows as they were read, by its name. */
type ReadPairs = SplitPairs & { fileRows: Record<string, string> };

/**
 * Returns the `generated` pairs together with those of the files, both the training and the
 * held-out side. Holds out all pairs on `heldOutShare` of each file's prompts. Reports on stderr
 * what each file gave. Throws if no pair of a file has a verdict in `dimension`.
 */
export async function preferenceData({
  generated = { train: [], heldOut: [] },
  files,
  dimension,
  heldOutShare = HELD_OUT_SHARE,
  origins,
}: {
  generated?: Readonly<SplitPairs>;
  /** `layout:path` */
  files: readonly string[];
  dimension: Dimension;
  heldOutShare?: number;
  /**
   * What the user says of the files' sources and licences, in their order. If given, a licence that
   * stays unknown is an error. Left out, rows keep what they say.
   */
  origins?: readonly FileOrigin[];
}): Promise<ReadPairs> {
  const train = [...generated.train];
  const heldOut = [...generated.heldOut];
  const fileRows: Record<string, string> = {};
  for (const [i, name] of files.entries()) {
    const { pairs, skipped } = await readPairs(name, { dimension, origin: origins?.[i] });
    fileRows[name] = digestOfRows(pairs);
    const sides = splitByPrompt(pairs, { seed: SPLIT_SEED, heldOut: heldOutShare });
    train.push(...sides.train);
    heldOut.push(...sides.heldOut);
    const prompts = new Set(pairs.map(({ prompt }) => promptKey(openingTurn(prompt)))).size;
    const given = `${pairs.length} pairs on ${prompts} prompts`;
    const taken = `${sides.train.length} to train on, ${sides.heldOut.length} held out`;
    process.stderr.write(`${name}: ${given}: ${taken}; left out: ${describeSkips(skipped)}\n`);
  }
  if (train.length === 0) {
    throw new Error(
      `there are no pairs to train on: ${generated.train.length} generated, ${heldOut.length} of files all held out`,
    );
  }
  assertNoLeak(train, heldOut);
  return { train, heldOut, fileRows };
}

async function readPairs(
  name: string,
  { dimension, origin }: { dimension: Dimension; origin: FileOrigin | undefined },
): Promise<{ pairs: Preference[]; skipped: Skips }> {
  const [layout, path] = splitName(name, PREFERENCE_LAYOUTS);
  const skipped = noSkips();
  const onSkip = (reason: keyof Skips) => void skipped[reason]++;
  const judged = new Set<string>();
  const onJudged = (what: string) => void judged.add(what);
  const pairs = await Array.fromAsync(PREFERENCE_LAYOUTS[layout](path, { dimension, onSkip, onJudged }));
  if (pairs.length === 0) throw new Error(`${path}: there is no pair in it; left out: ${describeSkips(skipped)}`);
  if (pairs.every((pair) => pair[dimension] === null)) {
    const question = dimension === 'better' ? 'which answer is the more helpful one' : 'which answer is the safer one';
    throw new Error(`${path}: none of its ${pairs.length} pairs says ${question}`);
  }
  const warning = judgedOtherwise(pairs, { dimension, file: path, judged: [...judged] });
  if (warning !== null) process.stderr.write(`${warning}\n`);
  return { pairs: origin === undefined ? pairs : withOrigins(pairs, origin, path), skipped };
}
