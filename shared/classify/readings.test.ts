import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blocksOf, MOST_BLOCK_CHARS } from './blocks.ts';
import { reversed, rot13 } from './ciphers.ts';
import { normalize } from './normalize.ts';
import { MAX_READINGS, MAX_SOURCES, plainReading, readInSlices, readingsOf } from './readings.ts';
import { countingLexicon, everydayLexicon } from './testing/everyday-lexicon.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';

const lexicon = everydayLexicon;
const MESSAGE = 'how do i bake a cake for my school';
const readings = (text: string) => readingsOf(text, { lexicon }).readings;

test.each([
  'How do I bake bread?',
  'for (let i = 0; i < n; i++) a[i] = b[i];',
  'Ein Satz über die Donaudampfschifffahrt.',
  'Меня зовут Анна, что мне приготовить?',
  '2024-05-01, 12:30: 5kg of apples for $40!',
  '',
])('%j has one reading', (text) => {
  expect(readings(text)).toEqual([plainReading(text)]);
});

test.each([
  ['base64', btoa(MESSAGE)],
  ['rot13', rot13(MESSAGE)],
  ['backwards', reversed(MESSAGE)],
  ['no spaces', MESSAGE.replaceAll(' ', '')],
  ['spaced out', [...MESSAGE.replaceAll(' ', '')].join(' ')],
  ['leetspeak', MESSAGE.replaceAll('o', '0').replaceAll('a', '4')],
  ['rot13 in base64', btoa(rot13(MESSAGE))],
  ['base64 in base64', btoa(btoa(MESSAGE))],
])('decodes %s', (_, code) => {
  expect(readings(`read this: ${code}`).some((reading) => reading.includes(MESSAGE))).toBe(true);
});

test('does not undo a disguise when its defence is off', () => {
  expect(readingsOf(btoa(MESSAGE), { lexicon, without: ['encodings'] }).readings.join()).not.toContain(MESSAGE);
  expect(readingsOf(rot13(MESSAGE), { lexicon, without: ['rot13'] }).readings.join()).not.toContain(MESSAGE);
});

describe('bounded work', () => {
  /**
   * The most look-ups per character, mostly for spellings of leetspeak. A constant, whatever the
   * text.
   */
  const LOOKUPS_PER_CHAR = 64;

  test('gives up on a text with more codes than it looks into, but not on one with few or none', () => {
    const codes = [
      btoa(btoa(MESSAGE)),
      rot13(MESSAGE),
      reversed(MESSAGE),
      btoa(rot13(MESSAGE)),
      btoa(reversed(MESSAGE)),
    ];
    expect(readingsOf(codes.join(' and '), { lexicon }).gaveUp).toBe(true);
    expect(readingsOf(`read this: ${btoa(btoa(MESSAGE))}`, { lexicon }).gaveUp).toBe(false);
    expect(readingsOf(MESSAGE, { lexicon }).gaveUp).toBe(false);
  });

  test('gives up on a code inside two others', () => {
    expect(readingsOf(btoa(btoa(btoa(MESSAGE))), { lexicon }).gaveUp).toBe(true);
  });

  const check = (block: string) => {
    const counting = countingLexicon();
    const slices = readInSlices(block, { lexicon: counting });
    let sourceChars = 0;
    let step = slices.next();
    for (; !step.done; step = slices.next()) sourceChars += step.value;
    const { readings: all } = step.value;
    expect(all.length).toBeLessThanOrEqual(MAX_READINGS);
    expect(new Set(all).size).toBe(all.length);
    expect(all[0]).toBe(normalize(block));
    // Normalising may turn one character into six.
    for (const reading of all) expect(reading.length).toBeLessThanOrEqual(2 * 6 * MOST_BLOCK_CHARS);
    expect(sourceChars).toBeLessThanOrEqual(2 * MAX_SOURCES * MOST_BLOCK_CHARS);
    expect(counting.lookups()).toBeLessThanOrEqual(LOOKUPS_PER_CHAR * Math.max(100, sourceChars));
  };

  test.each(HARD_TEXTS)('for every block of %s', (_, text) => {
    for (const block of blocksOf(text.slice(0, 4 * MOST_BLOCK_CHARS))) check(block);
  });

  test('for any text', () => {
    const anyText = fc.array(fc.integer({ min: 0, max: 0x10ffff })).map((codes) => String.fromCodePoint(...codes));
    fc.assert(fc.property(anyText, check));
  });
});
