/**
 * Preference pairs made ready to train on: encoded, in length buckets, in an order of batches that the seed decides, with all
 * that was left out counted. Every stage that learns from pairs starts here; a batch holds the chosen answers first, then the rejected ones.
 */
import type { Feed, GraphSession } from '#gpu-backend/graph/session.ts';
import type { LlamaConfig } from '#gpu-backend/model/config.ts';
import { type Bucket, makeBuckets, planBatches } from '../data/buckets.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import { encodePairs, type PairRows } from '../data/encode-pairs.ts';
import type { Dimension } from '../data/preferences.ts';
import type { Preference } from '../data/rows.ts';
import { describeSkips } from '../data/skips.ts';
import { createProgress } from '../run/progress.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import type { BaseModel } from './base-model.ts';

const BUCKET_STEP = 32;
/** Long enough for one batch; only caps buckets of short rows. */
const TYPICAL_LENGTH = 96;

/** What every stage that trains on pairs is given beside its own settings. */
export type PairStageOptions = {
  /** Where checkpoints and metrics go. */
  out: string;
  resume: boolean;
  seed: number;
  base: BaseModel;
  tokenizer: TrainingTokenizer;
  train: Preference[];
  heldOut: Preference[];
  /** What decided the pairs, for the checkpoint's settings. */
  dataSettings: Record<string, unknown>;
  threads: number;
  checkpointEverySeconds?: number;
};

export type PairSet = {
  pairs: PairRows[];
  buckets: Bucket[];
  /** How many pairs, and what was left out and why, for the stage's summary. */
  summary: string;
};

export type PairSetOptions = {
  /** For the summary and for errors: `to train on`, `held out`. */
  what: string;
  tokenizer: TrainingTokenizer;
  dimension: Dimension;
  config: LlamaConfig;
  pairsPerBatch: number;
  /** See `encodePairs`. */
  dropFirstDifference?: boolean;
};

/** Nothing left to learn from is an error. */
export function pairSet(preferences: readonly Preference[], options: PairSetOptions): PairSet {
  const { what, tokenizer, dimension, config, pairsPerBatch, dropFirstDifference = false } = options;
  const contextLength = config.max_position_embeddings;
  const { pairs, skipped } = encodePairs(preferences, tokenizer, { dimension, contextLength, dropFirstDifference });
  const longest = pairs.map(({ chosen, rejected }) => Math.max(chosen.ids.length, rejected.ids.length));
  const { buckets, skipped: tooLong } = makeBuckets(longest, {
    step: BUCKET_STEP,
    maxLength: contextLength,
    tokensPerBatch: pairsPerBatch * 2 * TYPICAL_LENGTH,
    rowsPerItem: 2,
  });
  const leftOut = describeSkips({ ...skipped, longAnswer: tooLong });
  const count = pairs.length - tooLong;
  if (count === 0) throw new Error(`there is no pair ${what}; left out: ${leftOut}`);
  const summary = `${count} pairs ${what}; left out: ${leftOut}`;
  return { pairs, buckets, summary };
}

export function planPairs({ buckets }: PairSet, { seed }: { seed: string }) {
  return planBatches(buckets, { seed, rowsPerItem: 2 });
}

/** The rows of a batch in the order of every pair graph. */
export function batchRows({ pairs }: PairSet, items: readonly number[]): TokenRow[] {
  return [...items.map((item) => pairs[item]!.chosen), ...items.map((item) => pairs[item]!.rejected)];
}

export type PairScores = Map<number, [chosen: number, rejected: number]>;

/** One number for every answer of a set, from a graph's output of `[2N]`. */
export async function scorePairs(
  set: PairSet,
  {
    session,
    feeds,
    output,
    label,
  }: {
    session: (bucket: Bucket) => Promise<GraphSession>;
    feeds: (rows: readonly TokenRow[], bucket: Bucket) => Record<string, Feed>;
    output: string;
    /** Of the progress bar; null: none. */
    label: string | null;
  },
): Promise<PairScores> {
  const scores: PairScores = new Map();
  const total = set.buckets.reduce((sum, bucket) => sum + Math.ceil(bucket.items.length / (bucket.rows / 2)), 0);
  const progress = label === null ? null : createProgress(label, { total, start: 0 });
  let done = 0;
  for (const bucket of set.buckets) {
    const size = bucket.rows / 2;
    for (let i = 0; i < bucket.items.length; i += size) {
      const startedAt = performance.now();
      const items = bucket.items.slice(i, i + size);
      // The last batch may be short: the shape is fixed, so its last pair stands in for the missing ones.
      const padded = Array.from({ length: size }, (_, k) => items[Math.min(k, items.length - 1)]!);
      const rows = batchRows(set, padded);
      const values = (await (await session(bucket)).run(feeds(rows, bucket)))[output]!;
      items.forEach((item, k) => void scores.set(item, [values[k]!, values[size + k]!]));
      const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      progress?.update(++done, { loss: mean, tokensPerSecond: (1000 * tokens) / (performance.now() - startedAt) });
    }
  }
  progress?.stop();
  return scores;
}

/** The scores of a batch, chosen first. */
export function pairedScores(scores: PairScores, items: readonly number[]): Float32Array {
  const at = (side: 0 | 1) => items.map((item) => scores.get(item)![side]);
  return Float32Array.from([...at(0), ...at(1)]);
}

/** Makes a thing for a key once. */
export function cached<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}
