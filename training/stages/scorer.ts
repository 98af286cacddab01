/** Loads a trained score head for later stages, from a run of stage `score`. It scores answers. */
import * as z from 'zod';
import { type Feed, int64 } from '#gpu-backend/graph/session.ts';
import { NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import type { ScoreHead } from '#gpu-backend/model/score-heads.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import type { PairRows } from '../data/encode-pairs.ts';
import { asAdapter, DEFAULT_TARGETS, frozenExpert } from '../graphs/lora.ts';
import { buildScoringGraph, type ScoreKind, scoreShapes } from '../graphs/score-graph.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import { loadTrained } from '../run/checkpoint.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { trainingSessions } from '../run/training-sessions.ts';
import { assertSameModel, type Parent } from './assert-same-model.ts';
import { type BaseModel, emptyTensors } from './base-model.ts';
import { adapterName, bucketPairs, keptOf, type PairScores, scorePairs } from './pair-set.ts';
import { readStageFile } from './stage-file.ts';

export const SCORE_FILE = 'score.json';
const ScoreJson = z.strictObject({
  kind: z.enum(['reward', 'cost']),
  rank: z.int(),
  alpha: z.number(),
  /** Of a cost model: how many answers said whether they are safe. Older runs do not tell. */
  labelled: z.int().optional(),
  /** The modules with LoRA. Runs of older versions do not say: they all trained `mlp.down_proj`. */
  targets: z
    .array(z.string())
    .min(1)
    .default([...DEFAULT_TARGETS]),
});

export type ScoreJson = z.infer<typeof ScoreJson>;

/** Pairs per scoring batch. It affects only the speed. */
const PAIRS_PER_BATCH = 16;

export type Scorer = {
  kind: ScoreKind;
  /** See `ScoreJson`. Without such answers, the zero of a cost model means nothing. */
  labelled?: number | undefined;
  /**
   * Returns one score for every answer, by the pairs' index. Pairs longer than the context have
   * none.
   *
   * @param folder where to keep the scores of a trained model, if they may be wanted again
   */
  score: (pairs: readonly PairRows[], label: string | null, folder?: string) => Promise<PairScores>;
  /** Gives its session's memory back. */
  release: () => Promise<void>;
};

/** A scorer of a run, which later runs name as their parent. */
export type TrainedScorer = Scorer & Parent;

/**
 * Feeds whole rows, including the end token, because an answer that breaks off is a different
 * answer. `last` is each row's last place.
 */
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

/** How much the LoRA counts. Without one nothing does. */
export const scoreScale = ({ rank, alpha }: { rank: number; alpha: number }) => (rank === 0 ? 0 : alpha / rank);

/** The trained tensors of a run of stage `score`. Throws if it is of another kind or base. */
async function loadRun(dir: string, { base, wanted }: { base: BaseModel; wanted: ScoreKind }) {
  const json = await readStageFile(dir, SCORE_FILE, { schema: ScoreJson, stage: wanted });
  const { kind, rank, targets } = json;
  if (kind !== wanted) throw new Error(`${dir}: found a ${kind} model, wanted a ${wanted} model`);
  const parameters = emptyTensors(scoreShapes(base.config, rank, targets));
  const state = await loadTrained(dir, { parameters, stage: kind });
  assertSameModel(dir, state, base);
  return { ...json, parameters, state };
}

/** A trained head as a bundle holds it, in PEFT's layout. Throws as `loadScorer` does. */
export async function loadScoreHead(
  dir: string,
  { base, wanted }: { base: BaseModel; wanted: ScoreKind },
): Promise<ScoreHead> {
  const { rank, alpha, targets, parameters } = await loadRun(dir, { base, wanted });
  const own = { weight: parameters.get('head.weight')!.data, bias: parameters.get('head.bias')!.data[0]! };
  if (rank === 0) return { ...own, ...NO_ADAPTER };
  return { ...own, rank, alpha, modules: asAdapter(frozenExpert(parameters, base.config, targets), { rank, alpha }) };
}

export async function loadScorer(
  dir: string,
  options: { base: BaseModel; padId: number; threads: number; wanted: ScoreKind },
): Promise<TrainedScorer> {
  const { kind, rank, alpha, targets, labelled, parameters, state } = await loadRun(dir, options);
  const { padId } = options;
  const adapter = adapterName({ digest: state.digest, rank, alpha, targets });
  const { config, frozen: base } = options.base;
  const build = () => buildScoringGraph(config, { base, rank, loraScale: scoreScale({ rank, alpha }), targets });
  const sessions = trainingSessions(build, {
    base,
    contextLength: config.max_position_embeddings,
    threads: options.threads,
  });
  return {
    kind,
    score: (pairs, label, folder) => {
      const contextLength = config.max_position_embeddings;
      const { buckets } = bucketPairs(pairs, { contextLength, pairsPerBatch: PAIRS_PER_BATCH, feeds: 'whole' });
      return scorePairs(
        { pairs, buckets },
        {
          session: sessions.train,
          feeds: (rows, shape) => ({ ...scoreFeeds(rows, shape, { padId }), ...parameterFeeds(parameters) }),
          output: 'scores',
          label,
          ...(folder !== undefined && {
            kept: keptOf({ pairs }, { what: kind, width: 1, folder, base: options.base.digest, adapter }),
          }),
        },
      );
    },
    release: sessions.release,
    labelled,
    dir,
    digest: state.digest,
  };
}
