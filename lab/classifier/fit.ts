/**
 * One logistic regression per column, all over the same hashed features. The optimiser is AdaGrad
 * (Duchi et al., JMLR 2011), which takes long steps for rare n-grams and short ones for common
 * n-grams. Plain loops over typed arrays are enough, because most targets of most rows are unknown
 * and cost nothing. There are no class weights. Calibration would undo them, and the harm column
 * already keeps the flood of benign rows away from the rare categories.
 */
import { COLUMNS, sigmoid } from '#shared/classify/combine-scores.ts';
import { createRandom } from '#training/data/random.ts';

export type FeatureRow = {
  buckets: Uint32Array;
  /** One per column. Null means no evidence. */
  targets: readonly (number | null)[];
  weight: number;
};

export type FloatModel = {
  bits: number;
  /** [columns] */
  biases: Float64Array;
  /** [2^bits, columns] */
  weights: Float32Array;
};

export type FitOptions = {
  bits: number;
  epochs: number;
  learningRate: number;
  l2: number;
  seed: number;
  onEpoch?: (epoch: number, meanLoss: number) => void;
};

const EPSILON = 1e-8;
/** An error this small would not change any weight once it is rounded to int8. */
const NEGLIGIBLE = 1e-3;

export function fit(rows: readonly FeatureRow[], options: FitOptions): FloatModel {
  const { bits, epochs, learningRate, l2, seed, onEpoch = () => {} } = options;
  if (rows.length === 0) throw new Error('fit: no rows to learn from');
  const random = createRandom(`${seed}/fit`);
  const model: FloatModel = { bits, biases: baseRates(rows), weights: new Float32Array(2 ** bits * COLUMNS) };
  const { biases, weights } = model;
  const squares = new Float32Array(weights.length);
  const biasSquares = new Float64Array(COLUMNS);
  const errors = new Float64Array(COLUMNS);
  const active = new Int32Array(COLUMNS);

  for (let epoch = 0; epoch < epochs; epoch++) {
    let totalLoss = 0;
    for (const { buckets, targets, weight } of random.shuffle(rows)) {
      const scores = scoresOf(model, buckets);
      let count = 0;
      for (let k = 0; k < COLUMNS; k++) {
        const target = targets[k]!;
        if (target === null) continue;
        const p = sigmoid(scores[k]!);
        totalLoss -= weight * (target * Math.log(p + EPSILON) + (1 - target) * Math.log(1 - p + EPSILON));
        const error = weight * (p - target);
        if (Math.abs(error) < NEGLIGIBLE) continue;
        errors[k] = error;
        active[count++] = k;
        biasSquares[k]! += error * error;
        biases[k]! -= (learningRate * error) / (Math.sqrt(biasSquares[k]!) + EPSILON);
      }
      const value = featureValue(buckets);
      for (let i = 0; i < buckets.length; i++) {
        for (let j = 0; j < count; j++) {
          const k = active[j]!;
          const at = buckets[i]! * COLUMNS + k;
          const gradient = errors[k]! * value + l2 * weights[at]!;
          const sum = squares[at]! + gradient * gradient;
          squares[at] = sum;
          weights[at]! -= (learningRate * gradient) / (Math.sqrt(sum) + EPSILON);
        }
      }
    }
    onEpoch(epoch + 1, totalLoss / rows.length);
  }
  return model;
}

/** [columns] */
export function scoresOf({ biases, weights }: FloatModel, buckets: Uint32Array): Float64Array {
  const scores = new Float64Array(COLUMNS);
  for (let i = 0; i < buckets.length; i++) {
    const at = buckets[i]! * COLUMNS;
    for (let k = 0; k < COLUMNS; k++) scores[k]! += weights[at + k]!;
  }
  const value = featureValue(buckets);
  for (let k = 0; k < COLUMNS; k++) scores[k] = biases[k]! + value * scores[k]!;
  return scores;
}

/** Every row has length 1 as a vector, so that long prompts do not drown short ones. */
function featureValue(buckets: Uint32Array): number {
  return buckets.length === 0 ? 0 : 1 / Math.sqrt(buckets.length);
}

/** The bias that each column starts with: the log-odds of how often it is true. */
function baseRates(rows: readonly FeatureRow[]): Float64Array {
  const biases = new Float64Array(COLUMNS);
  for (let k = 0; k < COLUMNS; k++) {
    let positives = 1;
    let negatives = 1;
    for (const { targets } of rows) {
      const target = targets[k]!;
      if (target === null) continue;
      positives += target;
      negatives += 1 - target;
    }
    biases[k] = Math.log(positives / negatives);
  }
  return biases;
}
