import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countingLexicon, EVERYDAY_WORDS, everydayLexicon } from './testing/everyday-lexicon.ts';
import { breakWords } from './word-breaks.ts';

test.each([
  ['howdoibakeacake', 'how do i bake a cake'],
  ['please, howdoibakebread?', 'please, how do i bake bread?'],
  ['how_do_i_bake', 'how do i bake'],
  ['how.do.i.bake.bread', 'how do i bake bread'],
])('splits %j', (text, expected) => {
  expect(breakWords(text, everydayLexicon)).toBe(expected);
});

test.each(['carbonara', 'the u.s.a. and e.g. this', 'some_variable_name', 'zqxjkvwpzqxjkvwp', 'a well-kept dog'])(
  'leaves %j alone',
  (text) => {
    expect(breakWords(text, everydayLexicon)).toBe(text);
  },
);

test('finds the words of any sentence that was run together', () => {
  const words = EVERYDAY_WORDS.filter((word) => word.length >= 4);
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { minLength: 4, maxLength: 20 }), (sentence) => {
      // Some words together begin another word, so the words may differ. But the letters are the
      // same, and every word is in the list.
      const broken = breakWords(sentence.join(''), everydayLexicon);
      expect(broken.replaceAll(' ', '')).toBe(sentence.join(''));
      expect(broken.split(' ').every((word) => everydayLexicon.has(word))).toBe(true);
    }),
  );
});

test('splits a run of any length with a few look-ups per letter', () => {
  const counting = countingLexicon();
  const run = 'howdoibakebread'.repeat(1_000);
  expect(breakWords(run, counting)).toBe(Array.from({ length: 1_000 }, () => 'how do i bake bread').join(' '));
  expect(counting.lookups()).toBeLessThan(4 * run.length);
});
