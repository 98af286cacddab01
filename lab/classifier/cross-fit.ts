/**
 * What the model says of text unlike its training data: for each fold a model is trained without
 * its sources and scores them, and prompts of nobody's fold as a yardstick. Calibration on rows of
 * the training sources would promise strangers what only friends get.
 */
import { setImmediate } from 'node:timers/promises';
import type { Lexicon } from '#shared/classify/lexicon.ts';
import { createScorer } from '#shared/classify/score-text.ts';
import { hashToUnit } from '#training/data/random.ts';
import type { Example } from './example.ts';
import { type FitOptions, fit } from './fit.ts';
import { FOLDS, foldOf } from './folds.ts';
import { floatColumns } from './quantize.ts';
import { isUnsafe } from './targets.ts';
import type { SourcedRow } from './training-rows.ts';

/**
 * Of one source and one side; more would only repeat its style, and scoring is most of the work.
 */
const MOST_OF_A_SIDE = 300;

/** One example by a model that never saw its source. */
export type LeftOut = { example: Example; fold: number; logOdds: Float64Array };
export type CrossFit = {
  leftOut: LeftOut[];
  /** [folds], the yardstick prompts' log-odds by each fold's model. */
  yardstick: Float64Array[][];
};

export async function crossFit(
  rows: readonly SourcedRow[],
  {
    examples,
    yardstick,
    lexicon,
    fitOptions,
  }: {
    /** Those of held-out splits stay out: they measure the final model. */
    examples: readonly Example[];
    yardstick: readonly Example[];
    lexicon: Lexicon;
    fitOptions: FitOptions;
  },
): Promise<CrossFit> {
  const asked = sampled(examples.filter(({ split }) => split !== 'heldout'));
  const result: CrossFit = { leftOut: [], yardstick: [] };
  for (const fold of FOLDS.keys()) {
    const others = rows.filter(({ source }) => foldOf(source) !== fold);
    const model = fit(others, fitOptions);
    const score = createScorer({ ...model, columns: floatColumns(model), lexicon });
    const logOddsOf = ({ text }: Example) => score(text).logOdds.slice();
    for (const example of asked) {
      if (foldOf(example.source) === fold) result.leftOut.push({ example, fold, logOdds: logOddsOf(example) });
    }
    result.yardstick.push(yardstick.map(logOddsOf));
    // Minutes of arithmetic: whoever shows progress gets a turn.
    await setImmediate();
  }
  return result;
}

/** Harmless prompts that no fold trains on, at most so many of a source. */
export function yardstickOf(measureOnly: readonly Example[]): Example[] {
  const harmless = measureOnly.filter((example) => isUnsafe(example) === false && !example.scary);
  return sampled(harmless);
}

/** At most so many of each source and side; a hash picks which. */
function sampled(examples: readonly Example[]): Example[] {
  const taken = new Map<string, number>();
  return examples
    .map((example) => ({ example, place: hashToUnit(`left out/${example.text}`) }))
    .toSorted((a, b) => a.place - b.place)
    .flatMap(({ example }) => {
      const key = `${example.source}/${isUnsafe(example)}`;
      const count = (taken.get(key) ?? 0) + 1;
      taken.set(key, count);
      return count <= MOST_OF_A_SIDE ? [example] : [];
    });
}
