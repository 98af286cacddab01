/**
 * What a prompt seems to ask for: one calibrated probability per label. A linear model over hashed n-grams, so the cost
 * is one row of sixteen bytes per feature, and a prompt of any length has a bounded number of features.
 */
import { LABELS, type Label } from '#shared/api/categories.ts';
import { sigmoid } from './combine-scores.ts';
import type { DefenceOptions } from './defences.ts';
import { createLexicon } from './lexicon.ts';
import { decodeModel, ModelFormatError } from './model-format.ts';
import { createScorer } from './score-text.ts';

export type LabelProbability = { label: Label; probability: number };

export type Classifier = {
  /** Changes with every change of the weights; belongs in the key of whatever is cached by category. */
  version: string;
  /** Every label once, in the order of `LABELS`; probabilities are finite and in [0, 1]. */
  classify(text: string): LabelProbability[];
};

/**
 * `createClassifier(bytes).classify('How do I bake bread?')`; throws `ModelFormatError` when the model cannot be trusted.
 * `without` is for evaluation: it switches defences off to measure what they are worth.
 */
export function createClassifier(model: ArrayBuffer, options: DefenceOptions = {}): Classifier {
  const { version, bits, labels, harm, weights, words } = decodeModel(model);
  const names = labels.map(({ label }) => label).join(' ');
  if (names !== LABELS.join(' ')) {
    throw new ModelFormatError(`has the labels "${names}", this code wants "${LABELS.join(' ')}"`);
  }
  const score = createScorer({ bits, columns: [...labels, harm], weights, lexicon: createLexicon(words) }, options);
  return {
    version,
    classify(text) {
      const { logOdds } = score(text);
      return LABELS.map((label, k) => {
        const { slope, offset } = labels[k]!.calibration;
        return { label, probability: sigmoid(slope * logOdds[k]! + offset) };
      });
    },
  };
}
