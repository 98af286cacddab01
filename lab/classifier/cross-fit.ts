/**
 * What the model says about text unlike its training data. For each fold of sources, we train a
 * model without them and let it score their prompts. It also scores a yardstick: prompts that are
 * in no fold. If we calibrated on rows from the training sources, the probabilities would only be
 * right for prompts like those.
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
 * The most prompts per source and side. More of them would only repeat the source's style, and
 * scoring takes most of the time.
 */
const MOST_OF_A_SIDE = 300;

/** One example, scored by a model that never saw its source. */
export type LeftOut = { example: Example; fold: number; logOdds: Float64Array };
export type CrossFit = {
  leftOut: LeftOut[];
  /** [folds], the log-odds of the yardstick prompts by each fold's model. */
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
    /** Held-out examples are not scored here: they measure the final model. */
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
    // The fits take minutes, so give the progress bar a chance to update.
    await setImmediate();
  }
  return result;
}

/** Harmless prompts that no fold trains on, at most `MOST_OF_A_SIDE` of each source. */
export function yardstickOf(measureOnly: readonly Example[]): Example[] {
  const harmless = measureOnly.filter((example) => isUnsafe(example) === false && !example.scary);
  return sampled(harmless);
}

/** At most `MOST_OF_A_SIDE` of each source and side. A hash picks which. */
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
