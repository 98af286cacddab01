/**
 * Turns preference pairs into token rows in length buckets, and counts everything that is left out.
 * Every stage that learns from pairs starts here. A batch holds the N chosen answers first, then
 * the N rejected ones.
 */
import type { Feed } from '#gpu-backend/graph/session.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { type Bucket, makeBuckets, tokenFeeds } from '../data/buckets.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import { encodePairs, type PairRows } from '../data/encode-pairs.ts';
import type { Dimension } from '../data/preferences.ts';
import type { Preference } from '../data/rows.ts';
import { describeSkips } from '../data/skips.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { type KeptNumbers, keptNumbers, rowsDigest } from '../run/kept-numbers.ts';
import { createProgress } from '../run/progress.ts';
import { parameterFeeds } from '../run/run-step.ts';
import type { SessionOf } from '../run/training-sessions.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';

/**
 * Rows are padded to a multiple of this. One session takes every length, so a small step costs
 * nothing but pairs: those that do not fill a batch of their bucket are left out of an epoch. With
 * few pairs a batch there are few of these.
 */
export const stepOf = (pairsPerBatch: number) => (pairsPerBatch <= 4 ? 8 : 32);
/** A batch has room for `pairsPerBatch` pairs of this length: more if shorter, fewer if longer. */
const TYPICAL_LENGTH = 96;

export type PairSet = {
  pairs: PairRows[];
  buckets: Bucket[];
  /** For the stage's summary: how many pairs there are, and how many were left out and why. */
  summary: string;
};

export type PairSetOptions = {
  /** For the summary and for errors, such as `to train on` or `held out`. */
  what: string;
  tokenizer: TrainingTokenizer;
  dimension: Dimension;
  config: DecoderConfig;
  pairsPerBatch: number;
  /** See `bucketPairs`. */
  feeds: PairFeeds;
  /** See `encodePairs`. */
  dropFirstDifference?: boolean;
};

/** Throws if no pair is left. */
export function pairSet(preferences: readonly Preference[], options: PairSetOptions): PairSet {
  const { what, tokenizer, dimension, config, pairsPerBatch, feeds, dropFirstDifference = false } = options;
  const contextLength = config.max_position_embeddings;
  const { pairs, skipped } = encodePairs(preferences, tokenizer, { dimension, contextLength, dropFirstDifference });
  const { buckets, skipped: tooLong } = bucketPairs(pairs, { contextLength, pairsPerBatch, feeds });
  const leftOut = describeSkips({ ...skipped, longAnswer: tooLong });
  const count = pairs.length - tooLong;
  if (count === 0) throw new Error(`there is no pair ${what}; left out: ${leftOut}`);
  return { pairs, buckets, summary: `${count} pairs ${what}; left out: ${leftOut}` };
}

/**
 * What a row's places hold. `predictions`: all tokens but the last, each of which predicts the next
 * one. `whole`: the whole row, including its end token.
 */
export type PairFeeds = 'predictions' | 'whole';

export function bucketPairs(
  pairs: readonly PairRows[],
  { contextLength, pairsPerBatch, feeds }: { contextLength: number; pairsPerBatch: number; feeds: PairFeeds },
) {
  const last = feeds === 'whole' ? 0 : 1;
  const lengths = pairs.map(({ chosen, rejected }) => Math.max(chosen.ids.length, rejected.ids.length) - last);
  return makeBuckets(lengths, {
    step: stepOf(pairsPerBatch),
    maxLength: contextLength,
    tokensPerBatch: pairsPerBatch * 2 * TYPICAL_LENGTH,
    rowsPerItem: 2,
  });
}

/** The rows of a batch, in the order that every pair graph uses. */
export function batchRows(pairs: readonly PairRows[], items: readonly number[]): TokenRow[] {
  return [...items.map((item) => pairs[item]!.chosen), ...items.map((item) => pairs[item]!.rejected)];
}

/** Scores by item of the set. */
export type PairScores = Map<number, [chosen: number, rejected: number]>;

/** What the outputs are called on screen. */
const MEANS = {
  logprobs: 'log-probability of an answer',
  scores: 'score',
  states: 'of a hidden state',
} as const;

type PairNumbers = {
  session: SessionOf;
  feeds: (rows: readonly TokenRow[], shape: BatchShape) => Record<string, Feed>;
  output: keyof typeof MEANS;
  /** The label of the progress bar. Null: no bar. */
  label: string | null;
  /** Those of an earlier run. New ones are added to them. */
  kept?: KeptNumbers;
};

/** Computes one number for every answer of a set, from a graph's output of `[2N]`. */
export async function scorePairs(set: BucketedPairs, options: PairNumbers): Promise<PairScores> {
  const values = await numbersOfPairs(set, { ...options, width: 1 });
  const scores: PairScores = new Map();
  set.pairs.forEach((_, item) => {
    const [chosen, rejected] = [values[2 * item]!, values[2 * item + 1]!];
    if (!Number.isNaN(chosen)) scores.set(item, [chosen, rejected]);
  });
  return scores;
}

type BucketedPairs = { pairs: readonly PairRows[]; buckets: readonly Bucket[] };

/**
 * Computes `width` numbers for every answer of a set, from a graph's output of `[2N, width]`. They
 * come pair by pair, those of the chosen answer first, and are NaN for a pair in no bucket.
 */
export async function numbersOfPairs(
  { pairs, buckets }: BucketedPairs,
  { session, feeds, output, width, label, kept }: PairNumbers & { width: number },
): Promise<Float32Array> {
  const numbers = kept?.values ?? new Float32Array(2 * width * pairs.length).fill(Number.NaN);
  const total = buckets.reduce((sum, bucket) => sum + Math.ceil(bucket.items.length / (bucket.rows / 2)), 0);
  const progress = label === null ? null : createProgress(label, { total, start: 0, figure: `mean ${MEANS[output]}` });
  let [done, savedAt] = [0, performance.now()];
  for (const bucket of buckets) {
    const size = bucket.rows / 2;
    for (let i = 0; i < bucket.items.length; i += size) {
      const startedAt = performance.now();
      const items = bucket.items.slice(i, i + size);
      done++;
      if (items.every((item) => !Number.isNaN(numbers[2 * width * item]!))) continue;
      const shape = { rows: 2 * items.length, length: bucket.length };
      const rows = batchRows(pairs, items);
      const values = (await (await session(shape)).run(feeds(rows, shape)))[output]!;
      const part = (row: number) => values.subarray(row * width, (row + 1) * width);
      items.forEach((item, k) => {
        numbers.set(part(k), 2 * width * item);
        numbers.set(part(items.length + k), (2 * item + 1) * width);
      });
      if (performance.now() - savedAt > SAVE_EVERY_MS) {
        kept?.save();
        savedAt = performance.now();
      }
      const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      // A bucket's first batch makes its session, and would say nothing about the speed.
      const tokensPerSecond = i > 0 ? (1000 * tokens) / (performance.now() - startedAt) : Number.NaN;
      progress?.update(done, { figure: mean, tokensPerSecond });
    }
  }
  progress?.stop();
  kept?.save();
  return numbers;
}

/** A kill loses no more of what is kept. */
const SAVE_EVERY_MS = 30_000;

/**
 * Computes log p(answer | prompt) of every answer, in nats. The graph takes the token batch and
 * `parameters`, and gives `logprobs`.
 */
export function logprobsOfPairs(
  set: PairSet,
  {
    session,
    parameters,
    padId,
    label,
    keep,
  }: {
    session: SessionOf;
    parameters: Parameters;
    padId: number;
    label: string | null;
    /** Where to keep them, if the weights are frozen. */
    keep?: { folder: string } & FrozenModel;
  },
): Promise<PairScores> {
  const feeds = (rows: readonly TokenRow[], shape: BatchShape) => ({
    ...tokenFeeds(rows, shape, { normalize: false, padId }).feeds,
    ...parameterFeeds(parameters),
  });
  const kept = keep && keptOf(set, { what: 'logprobs', width: 1, ...keep });
  return scorePairs(set, { session, feeds, output: 'logprobs', label, ...(kept && { kept }) });
}

/** A model that does not change, by digests. The adapter is `none`, or a run's with its scale. */
type FrozenModel = { base: string; adapter: string };

/** The kept numbers of a set under a frozen model, `width` of them an answer. */
export function keptOf(
  { pairs }: { pairs: readonly PairRows[] },
  { what, width, folder, base, adapter }: { what: string; width: number; folder: string } & FrozenModel,
): KeptNumbers {
  const rows = rowsDigest(pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]));
  return keptNumbers(folder, { what, key: { base, adapter, rows }, count: 2 * width * pairs.length });
}

/** The scores of a batch, chosen first. */
export function pairedScores(scores: PairScores, items: readonly number[]): Float32Array {
  const at = (side: 0 | 1) => items.map((item) => scores.get(item)![side]);
  return Float32Array.from([...at(0), ...at(1)]);
}
