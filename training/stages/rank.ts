/**
 * Stage `rank`: makes D_dual for the router, from preference pairs judged by the cost model and the
 * reward model. The label says which answer is more helpful. If there is no label, as in data
 * judged only for safety, the reward model decides.
 */

import { existsSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { encodePairs } from '../data/encode-pairs.ts';
import { PREFERENCE_LAYOUTS } from '../data/preferences.ts';
import type { Preference } from '../data/rows.ts';
import { SKIP_REASONS, type Skips, skipCounts } from '../data/skips.ts';
import { replaceFile } from '../run/write-file.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { assertSameModel, type Parent } from './assert-same-model.ts';
import type { BaseModel } from './base-model.ts';
import { DUAL_DEFINITIONS, type DualDefinition, dualPairs, type JudgedPair } from './dual-pairs.ts';
import type { Scorer } from './scorer.ts';
import { SOURCES_FILE, sourcesFile } from './sources-file.ts';
import { readStageFile } from './stage-file.ts';

export type RankOptions = {
  preferences: readonly Preference[];
  definition: DualDefinition;
  reward: Scorer;
  cost: Scorer;
  base: BaseModel;
  tokenizer: TrainingTokenizer;
  /**
   * The file that stage `router` reads, in our own pair layout. `better` is the winner in both
   * dimensions together.
   */
  out: string;
};

/** The file beside the pairs that says how they were made. */
const RANK_FILE = 'rank.json';
const RankJson = z.strictObject({
  definition: z.enum(DUAL_DEFINITIONS),
  /** Digests, as in a run's settings. */
  base: z.string(),
  tokenizer: z.string(),
  parents: z.strictObject({ reward: z.string(), cost: z.string() }),
});

/**
 * Writes to `dir` how its pairs are made, and what the two models come from: their judgement is in
 * the pairs.
 */
export async function writeRankFile(
  dir: string,
  { definition, base, reward, cost }: { definition: DualDefinition; base: BaseModel; reward: Parent; cost: Parent },
): Promise<void> {
  const json: z.infer<typeof RankJson> = {
    definition,
    base: base.digest,
    tokenizer: base.tokenizer.digest,
    parents: { reward: reward.digest, cost: cost.digest },
  };
  makeFolder(dir);
  replaceFile(path.join(dir, RANK_FILE), `${JSON.stringify(json, null, 2)}\n`);
  const sources = await sourcesFile([], [reward.dir, cost.dir]);
  replaceFile(path.join(dir, SOURCES_FILE), `${JSON.stringify(sources, null, 2)}\n`);
}

/**
 * Reads a folder of the stage rank. Throws if it lacks pairs, or if models on another base than
 * `base` have ranked them. Older folders do not say, and we trust them. What it returns are options
 * of the stage router.
 */
export async function readDualPairs(
  dir: string,
  base: BaseModel,
): Promise<{ train: Preference[]; heldOut: Preference[]; builtOn: string[] }> {
  if (existsSync(path.join(dir, RANK_FILE))) {
    const settings = await readStageFile(dir, RANK_FILE, { schema: RankJson, stage: 'rank' });
    assertSameModel(dir, { settings }, base);
  }
  const read = async (name: string) => {
    const file = path.join(dir, name);
    if (!existsSync(file)) throw new Error(`${dir} holds no pairs of the stage rank: found no ${name}`);
    return Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(file));
  };
  return { train: await read(DUAL_FILES.train), heldOut: await read(DUAL_FILES.heldOut), builtOn: [dir] };
}

export const DUAL_FILES = { train: 'train.jsonl', heldOut: 'held-out.jsonl' } as const;

export type RankSummary = { read: number; kept: number; leftOut: Record<string, number> };

export async function rankStage({
  preferences,
  definition,
  reward,
  cost,
  base,
  tokenizer,
  out,
}: RankOptions): Promise<RankSummary> {
  if (cost.labelled === 0) {
    throw new Error(
      'rank: the cost model has seen no answer that says whether it is safe (safe_0, safe_1), so costs below 0 do not mean safe: train it on pairs that say so',
    );
  }
  // Scores the pairs in their given order, as if response 0 were chosen. The verdict comes later.
  const asRead = preferences.map((preference): Preference => ({ ...preference, better: 0, safer: null }));
  const { pairs, skipped } = encodePairs(asRead, tokenizer, {
    dimension: 'better',
    contextLength: base.config.max_position_embeddings,
  });
  const labelled = new Map(asRead.map((preference, i) => [preference, preferences[i]!]));
  const costs = await cost.score(pairs, 'rank: cost');
  const rewards = await reward.score(pairs, 'rank: reward');
  const judged = [...costs].map(([item, answerCosts]) => {
    const { preference } = pairs[item]!;
    const [first, second] = rewards.get(item)!;
    const labels = labelled.get(preference)!;
    const better = labels.better ?? (first === second ? null : first > second ? 0 : 1);
    return { preference, judged: { costs: answerCosts, better, labels } satisfies JudgedPair };
  });
  const { dual, leftOut } = dualPairs(judged, definition);
  // A pair that is too long for the scorers has no cost.
  const unusable: Skips = { ...skipped, longAnswer: pairs.length - judged.length };
  for (const [reason, count] of skipCounts(unusable)) leftOut[SKIP_REASONS[reason]] = count;
  if (dual.length === 0) {
    throw new Error(
      `rank: none of ${preferences.length} pairs is left under the definition ${definition}: ${JSON.stringify(leftOut)}`,
    );
  }
  makeFolder(path.dirname(out));
  const lines = dual.map(({ prompt, responses: [response_0, response_1], better, source, licence }) =>
    JSON.stringify({ prompt, response_0, response_1, better, safer: null, source, licence }),
  );
  replaceFile(out, `${lines.join('\n')}\n`);
  return { read: preferences.length, kept: dual.length, leftOut };
}
