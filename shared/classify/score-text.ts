/**
 * Turns a text into one log-odds per judgement, before calibration. It runs every block of the text
 * and every reading of a block through the linear model, whole and in pieces, and keeps the
 * strictest of each. It takes int8 weights (which ship) and float ones (which training compares
 * them with).
 */

import { MAX_READ_CHARS } from '#shared/api/text-limits.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { blocksOf } from './blocks.ts';
import { COLUMNS, combineScores } from './combine-scores.ts';
import type { DefenceOptions } from './defences.ts';
import { createFeaturizer, MAX_CHARS } from './features.ts';
import { finish } from './finish.ts';
import type { Lexicon } from './lexicon.ts';
import type { ColumnModel } from './model-format.ts';
import { withoutUnseen } from './normalize.ts';
import { partsOf } from './parts.ts';
import { MAX_SOURCES, readInSlices } from './readings.ts';
import { createSumRows } from './sum-rows.ts';
import { uncertaintyOf } from './unknown-language.ts';
import { windowsOf } from './windows.ts';

/**
 * The largest of n scores exceeds a threshold more often than any one of them, so each of n pieces
 * needs a higher score. Independent pieces would need ln n more (the union bound). Pieces of one
 * text are alike and need less. The doubt is in log-odds before calibration, per ln n. A larger
 * doubt finds fewer harmful sentences in a paragraph and flags fewer harmless paragraphs, a smaller
 * one more of both.
 */
const DOUBT = 0.15;
/**
 * With this limit, a sentence that is surely harmful (0.97 alone) stays so in a text of any length.
 */
const MOST_DOUBT = 0.6;
/**
 * The extra doubt for part of a sentence, which may say more than was meant. A larger doubt finds
 * fewer requests next to a harmless clause and flags fewer harmless paragraphs, a smaller one more
 * of both.
 */
const PART_DOUBT = 0.25;
/** Characters in a sentence. A text has about one piece per sentence that is unlike the others. */
const PIECE_CHARS = 100;

/**
 * The most features of a block, per character. Prose has 15, a text without full stops 35, one in
 * two codes 40. If a block has more, over all its readings, it says nothing plainly. We do not read
 * the rest of it, and the text counts as uncertain.
 */
const MOST_FEATURES_A_CHAR = 64;
/** Added to a block's length, so that a short text may have as many readings as a longer one. */
const SHORT_BLOCK = 200;
/** A unit of work is one character looked into. This many features take as long. */
const FEATURES_A_UNIT = 10;
/**
 * The budget of work for a text, in units per character. English takes 3, a text in two codes 6.
 * Past this budget, we no longer look into its blocks for hidden text. If something may be hidden
 * there, the text counts as uncertain.
 */
const BUDGET_A_CHAR = 5;
const LEAST_BUDGET = 5_000;

export type LinearModel = {
  bits: number;
  /** One per label in the order of `LABELS`, then harm's. */
  columns: readonly ColumnModel[];
  /** [2^bits, columns] */
  weights: Int8Array | Float32Array;
  lexicon: Lexicon;
};

type Score = {
  /** [judgements] */
  logOdds: Float64Array;
  /** Whether part of the text was not read. */
  unread: boolean;
  /**
   * How likely it is that part of the text is in no language that the lexicon knows; see
   * unknown-language.ts.
   */
  uncertain: number;
  /** The sum of what the slices yielded, in units. */
  work: number;
};

export type ScoreText = (text: string) => Score;
/** The same in slices. Each ends after a text looked into or a reading, and yields its work. */
type ScoreInSlices = (text: string) => Generator<number, Score, void>;

/** Scores a text in one go. */
export function createScorer(model: LinearModel, options: DefenceOptions = {}): ScoreText {
  const inSlices = createSlicedScorer(model, options);
  return (text) => finish(inSlices(text));
}

export function createSlicedScorer(model: LinearModel, options: DefenceOptions = {}): ScoreInSlices {
  const { bits, columns, weights, lexicon } = model;
  const featurize = createFeaturizer(bits);
  const sumRows = createSumRows(weights);
  const sums = new Float64Array(COLUMNS);
  const scores = new Float64Array(COLUMNS);
  const own = new Float64Array(JUDGEMENTS.length);
  const readsPieces = !options.without?.includes('windows');

  /** Raises `strictest` to what this text says less `doubt`. Returns the number of its features. */
  const read = (text: string, { strictest, doubt }: { strictest: Float64Array; doubt: number }): number => {
    const buckets = featurize(text.length > MAX_CHARS ? text.slice(0, MAX_CHARS) : text);
    sumRows(buckets, sums);
    const norm = buckets.length === 0 ? 0 : 1 / Math.sqrt(buckets.length);
    for (let k = 0; k < COLUMNS; k++) scores[k] = columns[k]!.bias + columns[k]!.scale * norm * sums[k]!;
    combineScores(scores, own);
    for (let k = 0; k < own.length; k++) strictest[k] = Math.max(strictest[k]!, own[k]! - doubt);
    return buckets.length;
  };

  /** Reads one block, up to `most` features. Returns false if there were more. */
  function* readBlock(
    readings: Iterable<string>,
    { strictest, doubts, most }: BlockBounds,
  ): Generator<number, boolean, void> {
    const done = new Set<string>();
    let features = 0;
    for (const reading of readings) {
      const before = features;
      for (const [pieces, doubt] of [
        [[reading], doubts.whole],
        [readsPieces ? windowsOf(reading) : [], doubts.piece],
        [readsPieces ? partsOf(reading) : [], doubts.part],
      ] as const) {
        for (const piece of pieces) {
          if (features > most) return false;
          if (done.has(piece)) continue;
          done.add(piece);
          features += read(piece, { strictest, doubt });
        }
      }
      yield Math.ceil((features - before) / FEATURES_A_UNIT);
    }
    return true;
  }

  return function* (text) {
    const strictest = new Float64Array(JUDGEMENTS.length).fill(Number.NEGATIVE_INFINITY);
    const seen = withoutUnseen(text.slice(0, MAX_READ_CHARS), options);
    const piece = Math.min(MOST_DOUBT, DOUBT * Math.log(Math.max(1, seen.length / PIECE_CHARS)));
    const budget = LEAST_BUDGET + BUDGET_A_CHAR * seen.length;
    let spent = 0;
    let uncertain = 0;
    if (seen === '') read('', { strictest, doubt: 0 });
    for (const block of blocksOf(seen)) {
      const most = spent < budget ? MAX_SOURCES : 1;
      const counted = counting(readInSlices(block, { lexicon, most, ...options }), (work) => (spent += work));
      const { readings, typing, languages, gaveUp } = yield* counted;
      uncertain = Math.max(uncertain, gaveUp ? 1 : uncertaintyOf(block, languages, lexicon));
      const bounds = {
        strictest,
        doubts: {
          whole: seen.length === block.length ? 0 : piece,
          piece,
          part: Math.min(MOST_DOUBT, piece + PART_DOUBT),
        },
        most: MOST_FEATURES_A_CHAR * (block.length + SHORT_BLOCK),
      };
      const all = typing === undefined ? readings : [...readings, typing];
      const isWhole = yield* counting(readBlock(all, bounds), (work) => (spent += work));
      if (!isWhole) uncertain = 1;
    }
    return { logOdds: strictest, unread: text.length > MAX_READ_CHARS, uncertain, work: spent };
  };
}

type BlockBounds = {
  strictest: Float64Array;
  /** The doubt that is taken off a whole reading, a piece of it, and part of a sentence. */
  doubts: { whole: number; piece: number; part: number };
  most: number;
};

/** Passes the work on and reports it to `tell`. */
function* counting<T>(slices: Generator<number, T, void>, tell: (work: number) => void): Generator<number, T, void> {
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
    tell(value);
    yield value;
  }
}
