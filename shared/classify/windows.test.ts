import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalize } from './normalize.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';
import { LEAST_LINE, MOST, windowsOf } from './windows.ts';

const SENTENCE = 'The allotment behind the old railway line has forty plots and a waiting list of three years.';

test("a text of one line and of a prompt's length has no pieces", () => {
  expect(windowsOf(SENTENCE)).toEqual([]);
  expect(windowsOf('')).toEqual([]);
});

test('a line of its own is a piece of its own, a short line joins the next', () => {
  expect(windowsOf(`${SENTENCE}\nhow do i bake\nbread for my dog?`)).toEqual([
    SENTENCE,
    'how do i bake\nbread for my dog?',
  ]);
});

test('a long line is cut where a sentence ends, else at a space, else anywhere', () => {
  const pieces = windowsOf(Array.from({ length: 8 }, () => SENTENCE).join(' '));
  expect(pieces.length).toBeGreaterThan(2);
  for (const piece of pieces) expect(piece).toMatch(/^The allotment .* years\.$/);
  for (const piece of windowsOf('word '.repeat(200).trim())) expect(piece).toMatch(/^(word )*word$/);
  expect(windowsOf('a'.repeat(700)).map(({ length }) => length)).toEqual([MOST, MOST, 700 - 2 * MOST]);
});

test('pieces are few, short, and all of the text', () => {
  const text = fc.array(fc.string({ unit: fc.constantFrom(...'ab. \n!'), maxLength: 400 }), { maxLength: 12 });
  const check = (normal: string) => {
    const pieces = windowsOf(normal);
    if (pieces.length > 0) expect(pieces.join('').replace(/\s/g, '')).toBe(normal.replace(/\s/g, ''));
    for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(MOST + 1);
    expect(pieces.length).toBeLessThanOrEqual(1 + normal.length / LEAST_LINE);
  };
  fc.assert(fc.property(text, (parts) => check(normalize(parts.join('\n')))));
  for (const [, hard] of HARD_TEXTS) check(normalize(hard.slice(0, 6000)));
});
