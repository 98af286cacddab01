/**
 * Stage `rank`: makes D_dual for the router, from preference pairs judged by the cost model and the
 * reward model. The label says which answer is more helpful. If there is no label, as in data
 * judged only for safety, the reward model decides.
 */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { encodePairs, type PairRows } from '../data/encode-pairs.ts';
import { PREFERENCE_LAYOUTS } from '../data/preferences.ts';
import type { Preference } from '../data/rows.ts';
import { SKIP_REASONS, type Skips, skipCounts } from '../data/skips.ts';
import type { ScoreKind } from '../graphs/score-graph.ts';
import { replaceFile } from '../run/write-file.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { assertSameModel, assertSameParents, type Parent } from './assert-same-model.ts';
import type { BaseModel } from './base-model.ts';
import { DUAL_DEFINITIONS, type DualDefinition, dualPairs, type JudgedPair } from './dual-pairs.ts';
import type { PairScores } from './pair-set.ts';
import type { Scorer, TrainedScorer } from './scorer.ts';
import { SOURCES_FILE, sourcesFile } from './sources-file.ts';
import { readStageFile } from './stage-file.ts';

export type RankOptions = {
  train: readonly Preference[];
  heldOut: readonly Preference[];
  definition: DualDefinition;
  reward: TrainedScorer;
  cost: TrainedScorer;
  base: BaseModel;
  tokenizer: TrainingTokenizer;
  /**
   * The folder that stage `router` reads. Its files are in our own pair layout; `better` is the
   * winner in both dimensions together.
   */
  out: string;
};

/** The file beside the pairs that says how they were made. */
export const RANK_FILE = 'rank.json';
export const DUAL_FILES = { train: 'train.jsonl', heldOut: 'held-out.jsonl' } as const;
const SIDES = ['train', 'heldOut'] as const;
type Side = (typeof SIDES)[number];

const RankJson = z.strictObject({
  definition: z.enum(DUAL_DEFINITIONS),
  /** Digests, as in a run's settings. */
  base: z.string(),
  tokenizer: z.string(),
  parents: z.strictObject({ reward: z.string(), cost: z.string() }),
  /** SHA-256 of the files of pairs. Folders of older versions do not say. */
  files: z.strictObject({ train: z.string(), heldOut: z.string() }).optional(),
});

/**
 * Reads a folder of the stage rank. Throws if it lacks pairs, if its pairs are not those that
 * `rank.json` is about, or if models on another base than `base` have ranked them. Older folders do
 * not say, and we trust them. What it returns are options of the stage router.
 */
export async function readDualPairs(
  dir: string,
  base: BaseModel,
): Promise<{ train: Preference[]; heldOut: Preference[]; builtOn: string[] }> {
  const settings = await readRankFile(dir);
  if (settings) assertSameModel(dir, { settings }, base);
  const read = async (side: Side) => {
    const file = path.join(dir, DUAL_FILES[side]);
    if (!existsSync(file)) throw new Error(`${dir} holds no pairs of the stage rank: found no ${DUAL_FILES[side]}`);
    const [found, wanted] = [sha256(readFileSync(file)), settings?.files?.[side]];
    if (wanted !== undefined && found !== wanted) {
      throw new Error(
        `${file}: found SHA-256 ${found}, ${RANK_FILE} beside it says ${wanted}: the stage rank was stopped while it wrote, or the file has changed; rank once more with --force`,
      );
    }
    return Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(file));
  };
  return { train: await read('train'), heldOut: await read('heldOut'), builtOn: [dir] };
}

/**
 * Whether a folder has both files of pairs, and as they were written. Throws if other models than
 * these have ranked them.
 */
export async function holdsDualPairs(dir: string, models: Readonly<Record<ScoreKind, Parent>>): Promise<boolean> {
  const settings = await readRankFile(dir);
  const whole = SIDES.every((side) => {
    const file = path.join(dir, DUAL_FILES[side]);
    if (!existsSync(file)) return false;
    const wanted = settings?.files?.[side];
    return wanted === undefined || wanted === sha256(readFileSync(file));
  });
  if (whole && settings) assertSameParents(dir, { settings }, models);
  return whole;
}

async function readRankFile(dir: string): Promise<z.infer<typeof RankJson> | null> {
  if (!existsSync(path.join(dir, RANK_FILE))) return null;
  return readStageFile(dir, RANK_FILE, { schema: RankJson, stage: 'rank' });
}

export type RankSummary = { read: number; kept: number; leftOut: Record<string, number> };

/**
 * Ranks both sides and writes the folder `out`. The models are in memory one after the other.
 * Nothing is written until all pairs are ranked. Throws if no pair of a side is left.
 */
export async function rankStage(options: RankOptions): Promise<Record<Side, RankSummary>> {
  const { definition, reward, cost, base, tokenizer, out } = options;
  if (cost.labelled === 0) {
    throw new Error(
      'rank: the cost model has seen no answer that says whether it is safe (safe_0, safe_1), so costs below 0 do not mean safe: train it on pairs that say so',
    );
  }
  const contextLength = base.config.max_position_embeddings;
  const sides = SIDES.map((side) => asRead(options[side], { tokenizer, contextLength }));
  const costs = await scoresOf(cost, sides);
  const rewards = await scoresOf(reward, sides);
  const ranked = SIDES.map((side, at) => {
    const scored = { ...sides[at]!, costs: costs[at]!, rewards: rewards[at]! };
    return rank(options[side], { side, definition, ...scored });
  });
  const [train, heldOut] = [ranked[0]!, ranked[1]!];
  await writeDualPairs(out, { train: train.dual, heldOut: heldOut.dual, definition, reward, cost, base });
  return { train: train.summary, heldOut: heldOut.summary };
}

/**
 * Writes the folder that stage `router` reads, of ranked pairs: `better` is the winner. `reward`
 * and `cost` are the models that ranked them.
 */
export async function writeDualPairs(
  out: string,
  {
    definition,
    base,
    reward,
    cost,
    ...sides
  }: Pick<RankOptions, Side | 'definition' | 'base'> & Readonly<Record<ScoreKind, Parent>>,
): Promise<void> {
  const text = { train: textOf(sides.train), heldOut: textOf(sides.heldOut) };
  const json: z.infer<typeof RankJson> = {
    definition,
    base: base.digest,
    tokenizer: base.tokenizer.digest,
    parents: { reward: reward.digest, cost: cost.digest },
    files: { train: sha256(text.train), heldOut: sha256(text.heldOut) },
  };
  // The models' judgement is in the pairs.
  const sources = await sourcesFile([], [reward.dir, cost.dir]);
  makeFolder(out);
  // The digests come first: whatever stops us now, they tell earlier pairs from these.
  replaceFile(path.join(out, RANK_FILE), `${JSON.stringify(json, null, 2)}\n`);
  replaceFile(path.join(out, SOURCES_FILE), `${JSON.stringify(sources, null, 2)}\n`);
  for (const side of SIDES) replaceFile(path.join(out, DUAL_FILES[side]), text[side]);
}

type Encoded = ReturnType<typeof asRead>;

/** Pairs in their given order, as if response 0 were chosen. The verdict comes later. */
function asRead(
  preferences: readonly Preference[],
  { tokenizer, contextLength }: { tokenizer: TrainingTokenizer; contextLength: number },
) {
  const unjudged = preferences.map((preference): Preference => ({ ...preference, better: 0, safer: null }));
  const { pairs, skipped } = encodePairs(unjudged, tokenizer, { dimension: 'better', contextLength });
  return { pairs, skipped, labels: new Map(unjudged.map((preference, i) => [preference, preferences[i]!])) };
}

async function scoresOf(scorer: Scorer, sides: readonly { pairs: PairRows[] }[]): Promise<PairScores[]> {
  const scores: PairScores[] = [];
  for (const { pairs } of sides) scores.push(await scorer.score(pairs, `rank: ${scorer.kind}`));
  await scorer.release();
  return scores;
}

function rank(
  preferences: readonly Preference[],
  options: Encoded & { side: Side; definition: DualDefinition; costs: PairScores; rewards: PairScores },
): { dual: Preference[]; summary: RankSummary } {
  const { side, definition, pairs, skipped, labels: labelsOf, costs, rewards } = options;
  const judged = [...costs].map(([item, answerCosts]) => {
    const { preference } = pairs[item]!;
    const [first, second] = rewards.get(item)!;
    const labels = labelsOf.get(preference)!;
    const better = labels.better ?? (first === second ? null : first > second ? 0 : 1);
    return { preference, judged: { costs: answerCosts, better, labels } satisfies JudgedPair };
  });
  const { dual, leftOut } = dualPairs(judged, definition);
  // A pair that is too long for the scorers has no cost.
  const unusable: Skips = { ...skipped, longAnswer: pairs.length - judged.length };
  for (const [reason, count] of skipCounts(unusable)) leftOut[SKIP_REASONS[reason]] = count;
  if (dual.length === 0) {
    throw new Error(
      `rank: none of ${preferences.length} pairs for ${DUAL_FILES[side]} is left under the definition ${definition}: ${JSON.stringify(leftOut)}`,
    );
  }
  return { dual, summary: { read: preferences.length, kept: dual.length, leftOut } };
}

function textOf(dual: readonly Preference[]): string {
  const lines = dual.map(({ prompt, responses: [response_0, response_1], better, source, licence }) =>
    JSON.stringify({ prompt, response_0, response_1, better, safer: null, source, licence }),
  );
  return `${lines.join('\n')}\n`;
}

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
