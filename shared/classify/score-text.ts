/**
 * From a text to one log-odds per judgement, before calibration: every reading of the text, whole and in pieces, through the linear
 * model, and of each the strictest. It takes int8 weights (what ships) and float ones (what training compares them with).
 */
import { JUDGEMENTS } from '#shared/api/categories.ts';
import { COLUMNS, combineScores } from './combine-scores.ts';
import type { DefenceOptions } from './defences.ts';
import { createFeaturizer, featuresOfChars } from './features.ts';
import type { Lexicon } from './lexicon.ts';
import type { ColumnModel } from './model-format.ts';
import { MAX_READINGS, MAX_TOTAL_CHARS, readingsOf } from './readings.ts';
import { LEAST_LINE, windowsOf } from './windows.ts';

/** Whole, and once more in pieces: as many features as `MAX_TOTAL_CHARS` in that many texts can have. */
export const MAX_TOTAL_FEATURES =
  featuresOfChars(MAX_TOTAL_CHARS, { texts: MAX_READINGS }) +
  featuresOfChars(MAX_TOTAL_CHARS, { texts: MAX_READINGS + MAX_TOTAL_CHARS / LEAST_LINE });

/**
 * The largest of n scores is above a mark more often than any one of them, so each piece of n has to say more: by ln n for
 * independent pieces (the union bound), by less for pieces of one text, which are alike. Log-odds per ln n. On the calibration
 * prompts 0.15 still flagged 87 % of those that were buried in a harmless essay, 0.25 flagged 77 % and 0.5 only 53 %.
 */
const DOUBT = 0.2;

export type LinearModel = {
  bits: number;
  /** One per label in the order of `LABELS`, then harm's. */
  columns: readonly ColumnModel[];
  /** [2^bits, columns] */
  weights: Int8Array | Float32Array;
  lexicon: Lexicon;
};

export type Score = {
  /** [judgements]. The array belongs to the scorer and lasts until its next call. */
  logOdds: Float64Array;
  /** Features looked up, over all readings and pieces: the work done, bounded by `MAX_TOTAL_FEATURES`. */
  features: number;
  /** Characters looked into for hidden texts; see readings.ts. */
  sourceChars: number;
  readings: readonly string[];
};

export type ScoreText = (text: string) => Score;

export function createScorer(model: LinearModel, options: DefenceOptions = {}): ScoreText {
  const { bits, columns, weights, lexicon } = model;
  const featurize = createFeaturizer(bits);
  const sums = weights instanceof Int8Array ? new Int32Array(COLUMNS) : new Float64Array(COLUMNS);
  const scores = new Float64Array(COLUMNS);
  const own = new Float64Array(JUDGEMENTS.length);
  const strictest = new Float64Array(JUDGEMENTS.length);
  const readsPieces = !options.without?.includes('windows');

  /** Raises `strictest` to what this text says less `doubt`; returns the number of its features. */
  const read = (text: string, doubt: number): number => {
    const buckets = featurize(text);
    sums.fill(0);
    for (let i = 0; i < buckets.length; i++) {
      const row = buckets[i]! * COLUMNS;
      for (let k = 0; k < COLUMNS; k++) sums[k]! += weights[row + k]!;
    }
    const norm = buckets.length === 0 ? 0 : 1 / Math.sqrt(buckets.length);
    for (let k = 0; k < COLUMNS; k++) scores[k] = columns[k]!.bias + columns[k]!.scale * norm * sums[k]!;
    combineScores(scores, own);
    for (let k = 0; k < own.length; k++) strictest[k] = Math.max(strictest[k]!, own[k]! - doubt);
    return buckets.length;
  };

  return (text) => {
    strictest.fill(Number.NEGATIVE_INFINITY);
    let features = 0;
    const { readings, sourceChars } = readingsOf(text, { lexicon, ...options });
    for (const reading of readings) {
      features += read(reading, 0);
      const pieces = readsPieces ? windowsOf(reading) : [];
      for (const piece of pieces) features += read(piece, DOUBT * Math.log(pieces.length));
    }
    return { logOdds: strictest, features, sourceChars, readings };
  };
}
