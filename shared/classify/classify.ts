/**
 * What a prompt seems to ask for: a calibrated probability per judgement, and whether part of the
 * prompt was not understood. The model is linear over hashed n-grams, so each feature costs one row
 * of sixteen bytes.
 */
import { JUDGEMENTS, type Judgement, LABELS, type Signal } from '#shared/line/categories.ts';
import type { DefenceOptions } from './defences.ts';
import { finish } from './finish.ts';
import { createLexicon } from './lexicon.ts';
import { decodeModel, ModelFormatError } from './model-format.ts';
import { probabilitiesOf } from './probabilities.ts';
import { createSlicedScorer } from './score-text.ts';

/** Every signal once, each finite and in [0, 1]. */
export type Signals = Readonly<Record<Signal, number>>;

export type Classifier = {
  /** Changes whenever the weights change. It belongs in the key of anything cached by category. */
  version: string;
  /** Classifies in one go. For tools and tests, where nobody else has to wait. */
  classify(text: string): Signals;
  /**
   * Classifies in short slices. Each yields its work, in the units of score-text.ts, and the caller
   * lets other work run once enough has added up. See `workers/gateway/classify-text.ts`.
   */
  inSlices(text: string): Generator<number, Signals, void>;
};

/**
 * `createClassifier(bytes).classify('How do I bake bread?')`. Throws `ModelFormatError` if the
 * model cannot be trusted. `without` is for evaluation: it switches defences off to measure what
 * each is worth.
 */
export function createClassifier(model: ArrayBuffer, options: DefenceOptions = {}): Classifier {
  const { version, bits, labels, harm, anyHarm, weights, words } = decodeModel(model);
  const names = labels.map(({ label }) => label).join(' ');
  if (names !== LABELS.join(' ')) {
    throw new ModelFormatError(`has the labels "${names}", this code wants "${LABELS.join(' ')}"`);
  }
  const score = createSlicedScorer(
    { bits, columns: [...labels, harm], weights, lexicon: createLexicon(words) },
    options,
  );
  const calibrations = [...labels, anyHarm].map(({ calibration }) => calibration);

  function* inSlices(text: string): Generator<number, Signals, void> {
    const { logOdds, unread, uncertain } = yield* score(text);
    const probabilities = probabilitiesOf(logOdds, calibrations);
    const judged = JUDGEMENTS.map((name, k): [Judgement, number] => [name, probabilities[k]!]);
    // The cast: `JUDGEMENTS` has every key of the record once.
    return { ...(Object.fromEntries(judged) as Record<Judgement, number>), unread: unread ? 1 : 0, uncertain };
  }

  return {
    version,
    inSlices,
    classify: (text) => finish(inSlices(text)),
  };
}
