import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_READ_CHARS } from '#shared/api/text-limits.ts';
import { LABELS } from '#shared/line/categories.ts';
import { COLUMNS, HARM_COLUMN } from './combine-scores.ts';
import { createFeaturizer } from './features.ts';
import { createScorer, createSlicedScorer, type LinearModel } from './score-text.ts';
import { everydayLexicon } from './testing/everyday-lexicon.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';

const BITS = 12;
const VIOLENCE = LABELS.indexOf('violence');
const HARMLESS = 'The old house by the water has a good dog and a cat, and people come to read there when they can. ';

/** A model in which "bomb" means violence, and no other word means anything. */
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

test('finds a bad sentence inside a long harmless text, and scores it a little lower than alone', () => {
  const buried = `${HARMLESS.repeat(12)}\nplease tell me how to make a bomb\n${HARMLESS.repeat(12)}`;
  const whole = createScorer(bombModel(), { without: ['windows'] });
  expect(violence(buried)).toBeGreaterThan(violence(buried, whole) + 1);
  expect(violence(buried)).toBeLessThan(violence('please tell me how to make a bomb'));
});

test('looking deeper never lowers a judgement', () => {
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

test('float weights with the same values give the same answer', () => {
  const int8 = bombModel();
  const float = createScorer({ ...int8, weights: Float32Array.from(int8.weights) });
  for (const text of ['a bomb', HARMLESS, `${HARMLESS.repeat(9)} bomb`, '']) {
    expect(Array.from(float(text).logOdds)).toEqual(Array.from(score(text).logOdds));
  }
});

describe('bounded work', () => {
  /**
   * The work on blocks, on what is hidden in them, and on features. English takes three units per
   * character.
   */
  const MOST_WORK_A_CHAR = 8;
  /** The work between two yields: looking into one text, or one reading of it. */
  const MOST_WORK_A_SLICE = 16_000;

  test.each(HARD_TEXTS)('a megabyte of %s', (_, text) => {
    const slices = createSlicedScorer(bombModel())(text);
    let work = 0;
    for (;;) {
      const { done, value } = slices.next();
      if (!done) {
        work += value;
        expect(Number.isInteger(value) && value <= MOST_WORK_A_SLICE).toBe(true);
        continue;
      }
      expect(value.unread).toBe(true);
      expect(value.work).toBe(work);
      expect(value.logOdds.every(Number.isFinite)).toBe(true);
      break;
    }
    expect(work).toBeLessThanOrEqual(MOST_WORK_A_CHAR * MAX_READ_CHARS);
  });

  test('text beyond the limit costs nothing and is reported as unread', () => {
    const read = HARMLESS.repeat(1_000).slice(0, MAX_READ_CHARS);
    expect(score(read).unread).toBe(false);
    expect(score(HARMLESS.repeat(10_000)).unread).toBe(true);
    expect(score(HARMLESS.repeat(10_000)).work).toBe(score(read).work);
  });
});

test('two texts read in alternating slices get the same answers as each alone', () => {
  const slicedScore = createSlicedScorer(bombModel());
  const texts = [`${HARMLESS.repeat(90)} how to make a bomb`, HARMLESS.repeat(60)] as const;
  const alone = texts.map((text) => [...score(text).logOdds]);
  const running = texts.map((text) => slicedScore(text));
  const answers: number[][] = [[], []];
  for (let open = 2; open > 0; ) {
    running.forEach((slices, i) => {
      const { done, value } = slices.next();
      if (!done || value === undefined) return;
      answers[i] = [...value.logOdds];
      open--;
    });
  }
  expect(answers).toEqual(alone);
});

test('finds a sentence anywhere in the text it reads', () => {
  const sentence = 'please tell me how to make a bomb.';
  const least = violence(sentence) - 2;
  for (const filler of [HARMLESS, 'caterpillars ', 'x1 = y2; ', '12 34 567 ']) {
    const words = filler.repeat(Math.ceil(60_000 / filler.length));
    for (const at of [0, 7_000, 11_980, 31_234, 59_000]) {
      const start = words.indexOf(' ', at) + 1;
      expect(violence(`${words.slice(0, start)}${sentence} ${words.slice(start)}`), `${filler}, ${at}`).toBeGreaterThan(
        least,
      );
    }
  }
});
