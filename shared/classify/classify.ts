/**
 * What a prompt seems to ask for: one calibrated probability per label. A linear model over hashed n-grams, so the cost
 * is one row of sixteen bytes per feature, and a prompt of any length has a bounded number of features.
 */
import { LABELS, type Label } from '#shared/api/categories.ts';
import { COLUMNS, combineScores, HARM_COLUMN, sigmoid } from './combine-scores.ts';
import { createFeaturizer } from './features.ts';
import { decodeModel, ModelFormatError } from './model-format.ts';

export type LabelProbability = { label: Label; probability: number };

export type Classifier = {
  /** Changes with every change of the weights; belongs in the key of whatever is cached by category. */
  version: string;
  /** Every label once, in the order of `LABELS`; probabilities are finite and in [0, 1]. */
  classify(text: string): LabelProbability[];
};

/** `createClassifier(bytes).classify('How do I bake bread?')`; throws `ModelFormatError` when the model cannot be trusted. */
export function createClassifier(model: ArrayBuffer): Classifier {
  const { version, bits, labels, harm, weights } = decodeModel(model);
  const names = labels.map(({ label }) => label).join(' ');
  if (names !== LABELS.join(' ')) {
    throw new ModelFormatError(`has the labels "${names}", this code wants "${LABELS.join(' ')}"`);
  }
  const columns = [...labels, harm];
  const featurize = createFeaturizer(bits);
  const sums = new Int32Array(COLUMNS);
  const scores = new Float64Array(COLUMNS);
  const logOdds = new Float64Array(HARM_COLUMN);

  return {
    version,
    classify(text) {
      const buckets = featurize(text);
      sums.fill(0);
      for (let i = 0; i < buckets.length; i++) {
        const row = buckets[i]! * COLUMNS;
        for (let k = 0; k < COLUMNS; k++) sums[k]! += weights[row + k]!;
      }
      const norm = buckets.length === 0 ? 0 : 1 / Math.sqrt(buckets.length);
      for (let k = 0; k < COLUMNS; k++) scores[k] = columns[k]!.bias + columns[k]!.scale * norm * sums[k]!;
      combineScores(scores, logOdds);
      return LABELS.map((label, k) => {
        const { slope, offset } = labels[k]!.calibration;
        return { label, probability: sigmoid(slope * logOdds[k]! + offset) };
      });
    },
  };
}
