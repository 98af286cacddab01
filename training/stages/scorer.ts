/** A trained score head as the later stages use it: numbers for answers, from a run of stage `score`. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { type Feed, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import type { Bucket } from '../data/buckets.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import { buildScoringGraph, type ScoreKind, scoreShapes } from '../graphs/score-graph.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import { parameterFeeds } from '../run/loop.ts';
import { type BaseModel, emptyTensors } from './base-model.ts';
import { cached, type PairScores, type PairSet, scorePairs } from './pair-set.ts';

/** Written by stage `score` beside its checkpoints. */
export const ScoreJson = z.strictObject({ kind: z.enum(['reward', 'cost']), rank: z.int(), alpha: z.number() });

export type Scorer = {
  kind: ScoreKind;
  /** One score for every answer of a set. */
  score: (set: PairSet, label: string | null) => Promise<PairScores>;
};

/** Whole rows, the end token included: an answer that breaks off is another answer. `last` is each row's last place. */
export function scoreFeeds(
  rows: readonly TokenRow[],
  { rows: count, length }: BatchShape,
  { padId }: { padId: number },
): Record<string, Feed> {
  const ids = new Array<number>(count * length).fill(padId);
  rows.forEach((row, r) => {
    for (let i = 0; i < row.ids.length; i++) ids[r * length + i] = row.ids[i]!;
  });
  const last = rows.map((row) => row.ids.length - 1);
  return { ids: int64([count, length], ids), last: int64([count], last) };
}

export function createScorer(
  kind: ScoreKind,
  {
    base,
    rank,
    alpha,
    parameters,
    padId,
    threads,
  }: { base: BaseModel; rank: number; alpha: number; parameters: Parameters; padId: number; threads: number },
): Scorer {
  const session = cached((batch: Bucket) =>
    GraphSession.create(buildScoringGraph(base.config, { base: base.weights, rank, loraScale: alpha / rank, batch }), {
      threads,
    }),
  );
  return {
    kind,
    score: (set, label) =>
      scorePairs(set, {
        session,
        feeds: (rows, bucket) => ({ ...scoreFeeds(rows, bucket, { padId }), ...parameterFeeds(parameters) }),
        output: 'scores',
        label,
      }),
  };
}

export async function loadScorer(
  dir: string,
  options: { base: BaseModel; padId: number; threads: number; wanted: ScoreKind },
): Promise<Scorer> {
  const file = path.join(dir, 'score.json');
  const { kind, rank, alpha } = ScoreJson.parse(JSON.parse(await readFile(file, 'utf8')));
  if (kind !== options.wanted) throw new Error(`${file}: found a ${kind} model, wanted a ${options.wanted} model`);
  const parameters = emptyTensors(scoreShapes(options.base.config, rank));
  if ((await loadCheckpoint(dir, { parameters })) === null) {
    throw new Error(`${dir} holds no checkpoint: run the stage ${kind} first`);
  }
  return createScorer(kind, { ...options, rank, alpha, parameters });
}
