import { beforeAll, describe, expect, test } from 'vitest';
import { createClassifier } from '#shared/classify/classify.ts';
import { COLUMNS, combineScores, HARM_COLUMN, sigmoid } from '#shared/classify/combine-scores.ts';
import { createFeaturizer } from '#shared/classify/features.ts';
import { encodeModel } from '#shared/classify/model-format.ts';
import { JUDGEMENTS, LABELS } from '#shared/line/categories.ts';
import { columnTargets } from './columns.ts';
import { BENIGN, HARM_UNKNOWN, targetsOf } from './example.ts';
import { type FeatureRow, type FloatModel, fit, scoresOf } from './fit.ts';
import { type QuantizedModel, quantize, withCalibration } from './quantize.ts';

const bits = 12;
const featurize = createFeaturizer(bits);
const bucketsOf = (text: string) => featurize(text).slice();
const row = (text: string, example: Parameters<typeof columnTargets>[0]): FeatureRow => ({
  buckets: bucketsOf(text),
  targets: columnTargets(example),
  weight: 1,
});
const labelled = (text: string, ...labels: Parameters<typeof targetsOf>[0]) =>
  row(text, { targets: targetsOf(labels), someHarm: false });
const benign = (text: string) => row(text, { targets: BENIGN, someHarm: false });
const someHarm = (text: string) => row(text, { targets: HARM_UNKNOWN, someHarm: true });

const rows = [
  labelled('poison the dog', 'animal_abuse'),
  labelled('beat the horse', 'animal_abuse'),
  labelled('stab a man', 'violence'),
  labelled('strangle a guard', 'violence'),
  benign('feed the dog'),
  benign('ride the horse'),
  benign('greet a man'),
  benign('thank a guard'),
  someHarm('rob a bank'),
];
const settings = { bits, epochs: 40, learningRate: 0.2, l2: 1e-4, seed: 3 };
let float: FloatModel;
beforeAll(() => {
  float = fit(rows, settings);
});

const probability = (text: string, label: (typeof LABELS)[number]) => {
  const logOdds = new Float64Array(LABELS.length);
  combineScores(scoresOf(float, bucketsOf(text)), logOdds);
  return sigmoid(logOdds[LABELS.indexOf(label)]!);
};

describe('fit', () => {
  test('tells harmful from harmless, and one kind of harm from another', () => {
    expect(probability('poison the dog', 'animal_abuse')).toBeGreaterThan(0.8);
    expect(probability('poison the dog', 'hate')).toBeLessThan(0.3);
    expect(probability('feed the dog', 'animal_abuse')).toBeLessThan(0.2);
    expect(probability('stab a man', 'violence')).toBeGreaterThan(0.8);
  });

  test('learns harm from a row that names no category', () => {
    expect(sigmoid(scoresOf(float, bucketsOf('rob a bank'))[HARM_COLUMN]!)).toBeGreaterThan(0.8);
  });

  test('gives the same weights for the same seed, and different ones for another seed', () => {
    expect(fit(rows, settings).weights).toEqual(float.weights);
    expect(fit(rows, { ...settings, seed: 4 }).weights).not.toEqual(float.weights);
  });

  test('learns nothing from an unknown target', () => {
    const unknown = { ...rows[0]!, targets: new Array<null>(COLUMNS).fill(null) };
    expect(fit([unknown], settings).weights.every((weight) => weight === 0)).toBe(true);
  });

  test('reports a falling loss, and refuses to learn from nothing', () => {
    const losses: number[] = [];
    fit(rows, { ...settings, onEpoch: (_, loss) => losses.push(loss) });
    expect(losses).toHaveLength(settings.epochs);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 2);
    expect(() => fit([], settings)).toThrow('no rows');
  });
});

describe('quantize', () => {
  let int8: QuantizedModel;
  beforeAll(() => {
    int8 = quantize(float);
  });

  test('rounds each weight by at most half a step', () => {
    const steps = Array.from(int8.weights, (weight, at) => {
      return Math.abs(weight - float.weights[at]! / int8.columns[at % COLUMNS]!.scale);
    });
    // Half a step, plus the rounding of float32.
    expect(steps.reduce((most, step) => Math.max(most, step), 0)).toBeLessThanOrEqual(0.5001);
  });

  test('the encoded model answers like the float one, to within a hundredth', () => {
    const calibration = JUDGEMENTS.map(() => ({ slope: 1, offset: 0 }));
    const { classify } = createClassifier(encodeModel(withCalibration(int8, { calibration, words: [] })).buffer);
    for (const text of ['poison the dog', 'feed the dog', 'stab a man', 'an unseen sentence', '']) {
      const signals = classify(text);
      for (const label of LABELS) {
        expect(Math.abs(signals[label] - probability(text, label))).toBeLessThan(0.01);
      }
    }
  });
});
