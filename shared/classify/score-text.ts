/**
 * From a text to one log-odds per judgement, before calibration: every block of the text, every reading of a block, whole and in
 * pieces, through the linear model, and of each the strictest. It takes int8 weights (what ships) and float ones (what
 * training compares them with).
 */
import { JUDGEMENTS } from '#shared/api/categories.ts';
import { MAX_READ_CHARS } from '#shared/api/text-limits.ts';
import { blocksOf } from './blocks.ts';
import { COLUMNS, combineScores } from './combine-scores.ts';
import type { DefenceOptions } from './defences.ts';
import { createFeaturizer, MAX_CHARS } from './features.ts';
import type { Lexicon } from './lexicon.ts';
import type { ColumnModel } from './model-format.ts';
import { withoutUnseen } from './normalize.ts';
import { readingsOf } from './readings.ts';
import { createSumRows } from './sum-rows.ts';
import { uncertaintyOf } from './unknown-language.ts';
import { windowsOf } from './windows.ts';

/**
 * The largest of n scores is above a mark more often than any one of them, so each piece of n has to say more: by ln n for
 * independent pieces (the union bound), by less for pieces of one text, which are alike. Log-odds per ln n. Of harmful
 * prompts in a harmless paragraph of 150 words 0.2 found 75 % and flagged 2 % of the paragraphs, 0.3 found 63 % and flagged 1.3 %.
 */
const DOUBT = 0.2;
/** A sentence that is surely harm (0.97 alone) stays so in a text of any length. */
const MOST_DOUBT = 0.8;
/** Characters of a sentence: a text has about so many pieces that are not alike. */
const PIECE_CHARS = 100;

/**
 * Features of a block for each of its characters. Prose has 15, a text without full stops 25, one in two codes 40; a text
 * that has more for all the ways in which it may be read says nothing plainly. The rest of it is not read, and that is said: it is uncertain.
 */
export const MOST_FEATURES_A_CHAR = 48;
/** A short text may have as many ways to be read as a long one. */
const SHORT_BLOCK = 200;
/** What takes as long as a character that is looked into. */
const FEATURES_A_CHAR = 10;

export type LinearModel = {
  bits: number;
  /** One per label in the order of `LABELS`, then harm's. */
  columns: readonly ColumnModel[];
  /** [2^bits, columns] */
  weights: Int8Array | Float32Array;
  lexicon: Lexicon;
};

export type Score = {
  /** [judgements] */
  logOdds: Float64Array;
  /** Whether a part of the text was not read. */
  unread: boolean;
  /** How sure it is that a part is in no language that the lexicon knows; see unknown-language.ts. */
  uncertain: number;
  /** Features looked up, over all readings and pieces. */
  features: number;
};

export type ScoreText = (text: string) => Score;
/** The same a block at a time; each yields its work. */
export type ScoreInSlices = (text: string) => Generator<number, Score, void>;

/** All at once. */
export function createScorer(model: LinearModel, options: DefenceOptions = {}): ScoreText {
  const inSlices = createSlicedScorer(model, options);
  return (text) => finish(inSlices(text));
}

/** What a generator comes to. */
export function finish<T>(slices: Generator<number, T, void>): T {
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
  }
}

export function createSlicedScorer(model: LinearModel, options: DefenceOptions = {}): ScoreInSlices {
  const { bits, columns, weights, lexicon } = model;
  const featurize = createFeaturizer(bits);
  const sumRows = createSumRows(weights);
  const sums = new Float64Array(COLUMNS);
  const scores = new Float64Array(COLUMNS);
  const own = new Float64Array(JUDGEMENTS.length);
  const readsPieces = !options.without?.includes('windows');

  /** Raises `strictest` to what this text says less `doubt`; returns the number of its features. */
  const read = (text: string, { strictest, doubt }: { strictest: Float64Array; doubt: number }): number => {
    const buckets = featurize(text.length > MAX_CHARS ? text.slice(0, MAX_CHARS) : text);
    sumRows(buckets, sums);
    const norm = buckets.length === 0 ? 0 : 1 / Math.sqrt(buckets.length);
    for (let k = 0; k < COLUMNS; k++) scores[k] = columns[k]!.bias + columns[k]!.scale * norm * sums[k]!;
    combineScores(scores, own);
    for (let k = 0; k < own.length; k++) strictest[k] = Math.max(strictest[k]!, own[k]! - doubt);
    return buckets.length;
  };

  return function* (text) {
    const strictest = new Float64Array(JUDGEMENTS.length).fill(Number.NEGATIVE_INFINITY);
    const seen = withoutUnseen(text.slice(0, MAX_READ_CHARS), options);
    const pieceDoubt = Math.min(MOST_DOUBT, DOUBT * Math.log(Math.max(1, seen.length / PIECE_CHARS)));
    let features = 0;
    let uncertain = 0;
    if (seen === '') read('', { strictest, doubt: 0 });
    for (const block of blocksOf(seen)) {
      const { readings, typing, languages, sourceChars } = readingsOf(block, { lexicon, ...options });
      const most = MOST_FEATURES_A_CHAR * (block.length + SHORT_BLOCK);
      const wholeDoubt = seen.length === block.length ? 0 : pieceDoubt;
      const done = new Set<string>();
      let work = 0;
      let told = 0;
      uncertain = Math.max(uncertain, uncertaintyOf(block, languages, lexicon));
      yield sourceChars;
      for (const reading of typing === undefined ? readings : [...readings, typing]) {
        for (const piece of readsPieces ? [reading, ...windowsOf(reading)] : [reading]) {
          if (work > most) break;
          if (done.has(piece)) continue;
          done.add(piece);
          work += read(piece, { strictest, doubt: piece === reading ? wholeDoubt : pieceDoubt });
        }
        yield Math.ceil((work - told) / FEATURES_A_CHAR);
        told = work;
      }
      features += work;
      if (work > most) uncertain = 1;
    }
    return { logOdds: strictest, unread: text.length > MAX_READ_CHARS, uncertain, features };
  };
}
