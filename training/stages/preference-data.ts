/**
 * The pairs an expert learns from: the small world's, and files in any layout of `PREFERENCE_LAYOUTS`. The world has its own
 * split by wording; files are split by prompt, and a prompt on both sides, whoever put it there, is an error.
 */

import type { Edition } from '#lab/world/editions.ts';
import { generatePairs, type PairShares, type WorldShares } from '#lab/world/generate.ts';
import { loadTopics } from '#lab/world/load-topics.ts';
import type { PairRow } from '#lab/world/rows.ts';
import { assertNoLeak } from '../data/leakage.ts';
import { type Dimension, PREFERENCE_LAYOUTS, type PreferenceLayout } from '../data/preferences.ts';
import { openingTurn, promptKey } from '../data/prompt-key.ts';
import type { Preference } from '../data/rows.ts';
import { describeSkips, noSkips, type Skips } from '../data/skips.ts';
import { splitByPrompt } from '../data/split-by-prompt.ts';

const HELD_OUT_PAIRS = 600;
/** Of a file's prompts. */
export const HELD_OUT_SHARE = 0.1;
/** Not the run's seed: what one run holds out, no other run, of whatever stage and seed, may train on. */
const SPLIT_SEED = 'preferences';

/**
 * `worldPairs` of the world and 600 held-out ones (none where `worldPairs` is 0), and the files' pairs, of which those of
 * a share of the prompts are held out. The world's shares hold for both sides, held-out frames for the held-out one. Tells on stderr what each file gave. A file in which no pair has a verdict in
 * `dimension` is an error.
 */
export async function preferenceData({
  seed,
  worldPairs,
  files,
  dimension,
  edition,
  heldOutShare = HELD_OUT_SHARE,
  jailbreakShare,
  multiTurnShare,
  pairShares,
}: WorldShares & {
  seed: number;
  worldPairs: number;
  /** `layout:path` */
  files: readonly string[];
  dimension: Dimension;
  edition?: Edition;
  heldOutShare?: number;
  pairShares?: PairShares | undefined;
}): Promise<{ train: Preference[]; heldOut: Preference[] }> {
  const heldOutWorldPairs = worldPairs === 0 ? 0 : HELD_OUT_PAIRS;
  const topics = loadTopics({ edition });
  const world = { seed, topics, jailbreakShare, multiTurnShare, pairShares };
  const train = generatePairs({ ...world, split: 'train', count: worldPairs }).map(fromWorld);
  const heldOut = generatePairs({ ...world, split: 'heldout', count: heldOutWorldPairs }).map(fromWorld);
  for (const name of files) {
    const { pairs, skipped } = await readPairs(name, dimension);
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
      `there are no pairs to train on: ${worldPairs} of the world, ${heldOut.length} of files all held out`,
    );
  }
  assertNoLeak(train, heldOut);
  return { train, heldOut };
}

async function readPairs(name: string, dimension: Dimension): Promise<{ pairs: Preference[]; skipped: Skips }> {
  const at = name.indexOf(':');
  const [layout, path] = [name.slice(0, Math.max(0, at)), name.slice(at + 1)];
  if (!isLayout(layout)) {
    const layouts = Object.keys(PREFERENCE_LAYOUTS).join(', ');
    throw new Error(`"${name}": "${layout}" is no layout; write LAYOUT:FILE with one of ${layouts}`);
  }
  const skipped = noSkips();
  const onSkip = (reason: keyof Skips) => void skipped[reason]++;
  const pairs = await Array.fromAsync(PREFERENCE_LAYOUTS[layout](path, { dimension, onSkip }));
  if (pairs.length === 0) throw new Error(`${path}: there is no pair in it; left out: ${describeSkips(skipped)}`);
  if (pairs.every((pair) => pair[dimension] === null)) {
    const question = dimension === 'better' ? 'which answer is the more helpful one' : 'which answer is the safer one';
    throw new Error(`${path}: none of its ${pairs.length} pairs says ${question}`);
  }
  return { pairs, skipped };
}

function isLayout(name: string): name is PreferenceLayout {
  return Object.hasOwn(PREFERENCE_LAYOUTS, name);
}

function fromWorld({ prompt, response_0, response_1, better, safer, safe_0, safe_1, source }: PairRow): Preference {
  return { prompt: [...prompt], responses: [response_0, response_1], better, safer, safe: [safe_0, safe_1], source };
}
