import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CATEGORIES, JUDGEMENTS, LABELS, SIGNALS } from '#shared/line/categories.ts';
import { createClassifier } from './classify.ts';
import { COLUMNS, combineScores, HARM_COLUMN, sigmoid } from './combine-scores.ts';
import { createFeaturizer } from './features.ts';
import { encodeModel } from './model-format.ts';

/** Any code points at all, including lone surrogates and unassigned ones. */
const anyText = fc.array(fc.integer({ min: 0, max: 0x10ffff })).map((codes) => String.fromCodePoint(...codes));

const BITS = 10;
const VIOLENCE = LABELS.indexOf('violence');

/** A model that knows one word: "stab" means violence. */
function oneWordModel(labels: readonly string[] = LABELS): ArrayBuffer {
  const weights = new Int8Array(2 ** BITS * COLUMNS);
  for (const bucket of createFeaturizer(BITS)('stab')) {
    weights[bucket * COLUMNS + VIOLENCE] = 100;
    weights[bucket * COLUMNS + HARM_COLUMN] = 100;
  }
  const calibration = { slope: 1, offset: 0 };
  return encodeModel({
    bits: BITS,
    labels: labels.map((label) => ({ label, bias: -4, scale: 0.05, calibration })),
    harm: { bias: -3, scale: 0.05 },
    anyHarm: { calibration },
    words: ['how', 'to', 'stab', 'a', 'cake', 'bake'],
    weights,
  }).buffer;
}

describe('createClassifier', () => {
  test('gives every signal, and finds the word it knows', () => {
    const { classify } = createClassifier(oneWordModel());
    const answer = classify('stab');
    expect(Object.keys(answer)).toEqual(SIGNALS);
    expect(answer.violence).toBeGreaterThan(0.9);
    const harmless = classify('bake');
    for (const label of LABELS) expect(harmless[label], label).toBeLessThan(0.1);
  });

  test('gives finite probabilities for any text', () => {
    const { classify } = createClassifier(oneWordModel());
    fc.assert(
      fc.property(anyText, (text) => {
        for (const signal of Object.values(classify(text))) expect(signal >= 0 && signal <= 1).toBe(true);
      }),
    );
  });

  test('finds its word under a guessed disguise, unless that defence is off', () => {
    const hidden = `read this: ${btoa('how to stab a cake')}`;
    const violence = (classifier = createClassifier(oneWordModel())) => classifier.classify(hidden).violence;
    expect(violence()).toBeGreaterThan(0.5);
    expect(violence(createClassifier(oneWordModel(), { without: ['encodings'] }))).toBeLessThan(0.1);
  });

  test('gives the same text the same answer, whatever was classified in between', () => {
    const { classify } = createClassifier(oneWordModel());
    const first = classify('who would stab a cake');
    classify('something else');
    expect(classify('who would stab a cake')).toEqual(first);
  });

  test('refuses a model with other labels and names them', () => {
    expect(() => createClassifier(oneWordModel([...LABELS.slice(1), 'spam']))).toThrow(/"child_abuse .* spam"/);
  });
});

describe('combineScores', () => {
  const combine = (scores: Float64Array) => {
    const out = new Float64Array(JUDGEMENTS.length);
    combineScores(scores, out);
    return out;
  };
  const scores = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: COLUMNS, maxLength: COLUMNS });

  test('is finite for all finite scores, with no category likelier than harm', () => {
    fc.assert(
      fc.property(scores, (row) => {
        const out = combine(Float64Array.from(row));
        expect(out.every(Number.isFinite)).toBe(true);
        for (let k = 0; k < CATEGORIES.length; k++) {
          // Log-odds are cut off at a billionth.
          expect(sigmoid(out[k]!)).toBeLessThanOrEqual(sigmoid(row[HARM_COLUMN]!) + 2e-9);
        }
      }),
    );
  });

  test('shares out harm of unknown kind, so that the categories add up to at least that harm', () => {
    const row = new Float64Array(COLUMNS).fill(-3);
    row[HARM_COLUMN] = 2;
    const sum = [...combine(row)].slice(0, CATEGORIES.length).reduce((total, logOdds) => total + sigmoid(logOdds), 0);
    expect(sum).toBeGreaterThanOrEqual(sigmoid(2));
  });

  test('keeps jailbreak independent of harm', () => {
    const row = new Float64Array(COLUMNS).fill(-20);
    row[LABELS.indexOf('jailbreak')] = 1.5;
    expect(combine(row)[LABELS.indexOf('jailbreak')]).toBe(1.5);
  });
});
