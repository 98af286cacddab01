import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createNearWords } from './near-words.ts';

const near = createNearWords(['bread', 'bomb', 'kill', 'password', 'weather', 'to', 'books']);

test.each([
  ['left out', 'pasword', 'password'],
  ['left out at the front', 'assword', 'password'],
  ['put in', 'brejad', 'bread'],
  ['doubled', 'breead', 'bread'],
  ['all doubled', 'kkiillll', 'kill'],
  ['all of a short word doubled', 'ttoo', 'to'],
  ['swapped', 'bmob', 'bomb'],
  ['a neighbour on the keyboard', 'nomb', 'bomb'],
  ['another vowel', 'pessword', 'password'],
  ['a star', 'b*mb', 'bomb'],
])('a letter %s: reads %j as %j', (_, typed, meant) => {
  expect(near(typed)).toBe(meant);
});

test.each(['bomz', 'xyzzy', 'brd', 'mbob', 'drowssap', 'wthr', 'carbonara', ''])('%j is near no word', (typed) => {
  expect(near(typed)).toBeUndefined();
});

test('picks the commoner of two near words', () => {
  expect(createNearWords(['bread', 'break'])('brea')).toBe('bread');
  expect(createNearWords(['break', 'bread'])('brea')).toBe('break');
});

test('finds a word with any one letter left out, and nothing further off', () => {
  const word = fc.string({ unit: fc.constantFrom(...'abcdefgh'), minLength: 5, maxLength: 10 });
  fc.assert(
    fc.property(fc.uniqueArray(word, { minLength: 1, maxLength: 30 }), fc.nat(), fc.nat(), (words, which, at) => {
      const typed = [...words[which % words.length]!];
      typed.splice(at % typed.length, 1);
      const found = createNearWords(words)(typed.join(''));
      expect(found).toBeDefined();
      expect(Math.abs(found!.length - typed.length)).toBeLessThanOrEqual(1);
    }),
  );
});
