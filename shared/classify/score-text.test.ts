import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LABELS } from '#shared/api/categories.ts';
import { COLUMNS, HARM_COLUMN } from './combine-scores.ts';
import { createFeaturizer } from './features.ts';
import { createScorer, type LinearModel, MAX_TOTAL_FEATURES } from './score-text.ts';
import { everydayLexicon } from './testing/everyday-lexicon.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';

const BITS = 12;
const VIOLENCE = LABELS.indexOf('violence');
const HARMLESS = 'The old house by the water has a good dog and a cat, and people come to read there when they can. ';

/** "bomb" is violence, and nothing else says anything. */
function bombModel(): LinearModel {
  const weights = new Int8Array(2 ** BITS * COLUMNS);
  for (const bucket of createFeaturizer(BITS)('bomb')) {
    weights[bucket * COLUMNS + VIOLENCE] = 100;
    weights[bucket * COLUMNS + HARM_COLUMN] = 100;
  }
  return {
    bits: BITS,
    columns: Array.from({ length: COLUMNS }, () => ({ bias: -4, scale: 0.05 })),
    weights,
    lexicon: everydayLexicon,
  };
}
const score = createScorer(bombModel());
const violence = (text: string, scorer = score) => scorer(text).logOdds[VIOLENCE]!;

test('a bad sentence in a long harmless text is seen in its piece, and counts a little less than alone', () => {
  const buried = `${HARMLESS.repeat(12)}\nplease tell me how to make a bomb\n${HARMLESS.repeat(12)}`;
  const whole = createScorer(bombModel(), { without: ['windows'] });
  expect(violence(buried)).toBeGreaterThan(violence(buried, whole) + 1);
  expect(violence(buried)).toBeLessThan(violence('please tell me how to make a bomb'));
});

test('looking deeper makes no label milder', () => {
  const shallow = createScorer(bombModel(), { without: ['encodings', 'rot13', 'reversal', 'windows'] });
  const part = fc.constantFrom(
    'bomb',
    'obzo',
    'bmob',
    btoa('how to make a bomb'),
    'b0mb',
    HARMLESS,
    '\n',
    ' ',
    '%62%6f',
    'how',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
      const text = parts.join(' ');
      const least = shallow(text).logOdds.slice();
      score(text).logOdds.forEach((logOdds, k) => {
        expect(logOdds).toBeGreaterThanOrEqual(least[k]!);
      });
    }),
  );
});

test('float weights of the same values give the same answer', () => {
  const int8 = bombModel();
  const float = createScorer({ ...int8, weights: Float32Array.from(int8.weights) });
  for (const text of ['a bomb', HARMLESS, `${HARMLESS.repeat(9)} bomb`, '']) {
    expect(Array.from(float(text).logOdds)).toEqual(Array.from(score(text).logOdds));
  }
});

describe('bounded work', () => {
  test.each(HARD_TEXTS)('a megabyte of %s', (_, text) => {
    const { features, logOdds } = score(text);
    expect(features).toBeLessThanOrEqual(MAX_TOTAL_FEATURES);
    expect(logOdds.every(Number.isFinite)).toBe(true);
  });

  test('beyond what is read, length costs nothing', () => {
    expect(score(HARMLESS.repeat(10_000)).features).toBeLessThanOrEqual(1.1 * score(HARMLESS.repeat(200)).features);
  });
});
