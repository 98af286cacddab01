/**
 * Which real prompts the study asks, and which ones its judges learn from: two sides that share no
 * prompt, whichever file it is in. We split by the same hash as `stages/preference-data.ts`, with a
 * larger share. So all prompts that `train expert --pairs` holds out are on the study's side.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Message } from '#shared/protocol/generate.ts';
import { splitByPrompt } from '#training/data/split-by-prompt.ts';

/**
 * The study's share of the prompts. That is about 190 of PKU-SafeRLHF's 930, and about 130 of the
 * HH-RLHF openings that stand alone.
 */
export const STUDY_SHARE = 0.2;
/** `SPLIT_SEED` of `stages/preference-data.ts`. A test compares the two. */
const SPLIT_SEED = 'preferences';

export function studySides<T extends { prompt: readonly Message[] }>(rows: Iterable<T>): { study: T[]; judges: T[] } {
  const { heldOut, train } = splitByPrompt(rows, { seed: SPLIT_SEED, heldOut: STUDY_SHARE });
  return { study: heldOut, judges: train };
}

/** Why a folder of data cannot be used, in words; null if it holds all of `files`. */
export function missingData(dataDir: string | null, files: readonly string[]): string | null {
  if (dataDir === null) return 'no folder of real data was given';
  if (!existsSync(dataDir)) return `there is no folder ${dataDir}`;
  const missing = files.filter((file) => !existsSync(path.join(dataDir, file)));
  return missing.length === 0 ? null : `${dataDir} lacks ${missing.join(', ')}`;
}
