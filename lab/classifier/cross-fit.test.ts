import { beforeAll, describe, expect, test } from 'vitest';
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { createFeaturizer } from '#shared/classify/features.ts';
import { everydayLexicon } from '#shared/classify/testing/everyday-lexicon.ts';
import { balancedWeights, PRIOR } from './balance.ts';
import { type CrossFit, crossFit, yardstickOf } from './cross-fit.ts';
import { BENIGN, type Example, targetsOf } from './example.ts';
import { FOLDS, foldOf } from './folds.ts';
import { CONTRAST_SOURCE, LICENCES, OWN_SOURCE } from './licences.ts';
import { type SourcedRow, trainingRows } from './training-rows.ts';

const example = (text: string, source: string, harmful: boolean): Example => ({
  text,
  source,
  split: 'train',
  targets: harmful ? targetsOf(['violence']) : BENIGN,
  someHarm: false,
  weight: 1,
  scary: false,
});

test('every source that may train is in exactly one fold', () => {
  for (const [source, { inWeights }] of Object.entries(LICENCES)) if (inWeights) foldOf(source);
  const all = FOLDS.flat();
  expect(new Set(all).size).toBe(all.length);
  expect(() => foldOf('somewhere')).toThrow('"somewhere" is in no fold');
});

describe('crossFit', () => {
  const examples = [
    ...['stab the man', 'stab a guard', 'stab my boss'].map((text) => example(text, OWN_SOURCE, true)),
    ...['greet the man', 'greet a guard', 'greet my boss'].map((text) => example(text, OWN_SOURCE, false)),
    example('stab the king', CONTRAST_SOURCE, true),
    example('throttle the king', CONTRAST_SOURCE, true),
    example('greet the king', CONTRAST_SOURCE, false),
  ];
  const fitOptions = { bits: 12, epochs: 20, learningRate: 0.2, l2: 1e-4, seed: 1 };
  let rows: SourcedRow[];
  let result: CrossFit;
  beforeAll(async () => {
    rows = trainingRows(examples, createFeaturizer(12));
    result = await crossFit(rows, { examples, yardstick: [examples[3]!], lexicon: everydayLexicon, fitOptions });
  });
  const harmOf = (text: string) => result.leftOut.find(({ example }) => example.text === text)!.logOdds[ANY_HARM]!;

  test('scores each prompt with a model that learned only from other sources', () => {
    expect(result.leftOut).toHaveLength(examples.length);
    expect(result.yardstick.every((scores) => scores.length === 1)).toBe(true);
    expect(result.yardstick).toHaveLength(FOLDS.length);
    expect(harmOf('stab the king')).toBeGreaterThan(harmOf('greet the king'));
    // "throttle" occurs only in the left-out source, so the model that scores this source cannot
    // know the word.
    expect(harmOf('throttle the king')).toBeLessThan(harmOf('stab the king'));
  });

  test('does not score held-out prompts', async () => {
    const heldout = examples.map((each) => ({ ...each, split: 'heldout' as const }));
    const { leftOut } = await crossFit(rows, {
      examples: heldout,
      yardstick: [],
      lexicon: everydayLexicon,
      fitOptions,
    });
    expect(leftOut).toEqual([]);
  });

  test('the yardstick holds only prompts that are harmless and not frightening', () => {
    const scary = { ...example('kill the lights', OWN_SOURCE, false), scary: true };
    expect(
      yardstickOf([...examples, scary])
        .map(({ text }) => text)
        .sort(),
    ).toEqual(['greet a guard', 'greet my boss', 'greet the king', 'greet the man'].sort());
  });
});

test('each side has the weight that the prior gives it, and nine times the rows give three times the weight', () => {
  const many = Array.from({ length: 90 }, (_, i) => example(`do ${i}`, OWN_SOURCE, true));
  const few = Array.from({ length: 10 }, (_, i) => example(`try ${i}`, CONTRAST_SOURCE, true));
  const benign = Array.from({ length: 20 }, (_, i) => example(`bake ${i}`, OWN_SOURCE, false));
  const weights = balancedWeights([...many, ...few, ...benign]);
  const sum = (list: readonly number[]) => list.reduce((total, weight) => total + weight, 0);
  expect(sum(weights)).toBeCloseTo(120);
  expect(sum(weights.slice(0, 100)) / 120).toBeCloseTo(PRIOR);
  expect(sum(weights.slice(0, 90)) / sum(weights.slice(90, 100))).toBeCloseTo(3);
});
