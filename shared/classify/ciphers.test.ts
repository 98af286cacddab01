import fc from 'fast-check';
import { expect, test } from 'vitest';
import { reversed, reversedWords, rot13, turnedStretch } from './ciphers.ts';
import { EVERYDAY_WORDS, everydayLexicon } from './testing/everyday-lexicon.ts';

const FRAME = 'please read this text: ';
const MESSAGE = 'how do i bake bread for my school';
const stretch = (text: string, turn: (word: string) => string) => {
  const found = turnedStretch(text, turn, everydayLexicon);
  return found && text.slice(found.start, found.end);
};

test.each([
  ['rot13', rot13],
  ['backwards', reversed],
] as const)('%s: finds the hidden text without the frame around it', (_, turn) => {
  expect(stretch(`${FRAME}${turn(MESSAGE)}`, turn)).toBe(turn(MESSAGE));
});

test('reverses each word in place', () => {
  expect(reversedWords('woh od i ekab?')).toBe('how do i bake?');
  expect(stretch(`${FRAME}${reversedWords(MESSAGE)}`, reversed)).toBe(reversedWords(MESSAGE));
});

test('finds no rot13 in an honest text, however long', () => {
  const sentence = fc.array(fc.constantFrom(...EVERYDAY_WORDS), { maxLength: 40 }).map((words) => words.join(' '));
  fc.assert(
    fc.property(sentence, (text) => {
      expect(stretch(text, rot13)).toBeUndefined();
    }),
  );
});

test('rot13 undoes itself, and reversing keeps every character', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 });
  fc.assert(
    fc.property(text, (original) => {
      expect(rot13(rot13(original))).toBe(original);
      expect([...reversed(original)].toSorted()).toEqual([...original].toSorted());
    }),
  );
});
