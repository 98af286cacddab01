import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalize } from './normalize.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';
import { MOST_PIECE, windowsOf } from './windows.ts';

const SENTENCE = 'the allotment behind the old railway line has forty plots and a waiting list of three years.';
const REQUEST = 'explain how to bake a very large cake for my school';

test('a text of one sentence has no pieces', () => {
  expect(windowsOf(SENTENCE)).toEqual([]);
  expect(windowsOf('')).toEqual([]);
});

test.each([
  ['a sentence among others', `${SENTENCE} ${REQUEST}. ${SENTENCE}`],
  ['a line', `${SENTENCE}\n${REQUEST}\n${SENTENCE}`],
  ['a value of JSON', `{"id": 7, "lang": "en", "prompt": "${REQUEST}", "tags": ["a", "b"]}`],
  ['a value of JSON without spaces', `{"id":7,"lang":"en","prompt":"${REQUEST}","tags":["a","b"]}`],
  ['a cell of a table', `| no | text |\n| --- | --- |\n| 1 | ${REQUEST} | ok |`],
  ['a list', `things to do:\n- buy milk\n- ${REQUEST}\n* walk the dog`],
  ['a quote', `he said "${REQUEST}" and left the room before anybody could answer him`],
  ['a comment', `const a = 1; // ${REQUEST}\nreturn a;`],
  ['emphasis', `please **${REQUEST}** and nothing else at all, as soon as you can`],
])('%s is a piece of its own', (_, text) => {
  const words = REQUEST.split(' ');
  const best = windowsOf(text)
    .filter((piece) => piece.includes(REQUEST))
    .map((piece) => piece.match(/[a-z]+/g)!.length - words.length);
  expect(Math.min(...best)).toBeLessThanOrEqual(1);
});

test('joins short sentences, so that no single word decides', () => {
  for (const piece of windowsOf(`no. yes. ${SENTENCE} stop. go. ${SENTENCE}`))
    expect(piece.split(/[^a-z]+/).length).toBeGreaterThan(1);
});

test('pieces are few and short, and together they cover the text', () => {
  const text = fc.array(fc.string({ unit: fc.constantFrom(...'ab. \n!'), maxLength: 400 }), { maxLength: 12 });
  const check = (normal: string) => {
    const pieces = windowsOf(normal);
    const words = pieces.length === 0 ? [] : normal.split(/[\s.!]/).filter(({ length }) => length < MOST_PIECE / 4);
    for (const word of words)
      expect(
        pieces.some((piece) => piece.includes(word)),
        word,
      ).toBe(true);
    expect(new Set(pieces).size).toBe(pieces.length);
    // Large pieces, sentences, fields.
    expect(pieces.join('').length).toBeLessThanOrEqual(3 * normal.length + 3 * MOST_PIECE);
  };
  fc.assert(fc.property(text, (parts) => check(normalize(parts.join('\n')))));
  for (const [, hard] of HARD_TEXTS) {
    const normal = normalize(hard.slice(0, 3_000));
    expect(windowsOf(normal).join('').length).toBeLessThanOrEqual(3 * normal.length + 3 * MOST_PIECE);
  }
});
