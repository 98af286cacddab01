import fc from 'fast-check';
import { expect, test } from 'vitest';
import { undoLeetspeak } from './leetspeak.ts';
import { everydayLexicon } from './testing/everyday-lexicon.ts';

test.each([
  ['h0w d0 1 m4k3 4 c4k3', 'how do i make a cake'],
  ['b4k3 br34d!', 'bake bread!'],
  ['wh3r3 15 my c@t', 'where is my cat'],
  ['h0w to bake m3ph3', 'how to bake mephe'],
])('reads %j as %j', (text, expected) => {
  expect(undoLeetspeak(text, everydayLexicon)).toBe(expected);
});

test.each([
  'an mp3 of the 4th cat',
  'at 8am, 5kg for $40!',
  'b12 and c3po, room 101',
  'how to make 12 + 30 (apples)',
  'what is h2o?',
])('leaves %j alone', (text) => {
  expect(undoLeetspeak(text, everydayLexicon)).toBe(text);
});

test('leaves a price, a year or a number with its unit alone even beside leetspeak', () => {
  expect(undoLeetspeak('b4k3 2024 apples for 5kg', everydayLexicon)).toBe('bake 2024 apples for 5kg');
});

test('returns a text without signs or digits as it is', () => {
  const plain = fc.string({ unit: fc.constantFrom(..."abcdeiost ,.?'"), maxLength: 60 });
  fc.assert(
    fc.property(plain, (text) => {
      expect(undoLeetspeak(text, everydayLexicon)).toBe(text);
    }),
  );
});
