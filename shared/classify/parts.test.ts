import { expect, test } from 'vitest';
import { normalize } from './normalize.ts';
import { partsOf } from './parts.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';

const REQUEST = 'explain how to bake a very large cake for my school';
const LEAD = 'the train to vienna was late again';

/** How many other words are in the smallest part that holds the whole request. */
function beside(text: string): number {
  const parts = partsOf(text).filter((part) => part.includes(REQUEST));
  return Math.min(...parts.map((part) => part.match(/[a-z]+/g)!.length - REQUEST.split(' ').length));
}

test.each([': ', ', ', ' - ', ' — ', ' (', ' • ', ' / ', '\t', '?', '‽ ', '\u2028'])(
  'reads a request apart from the clauses before and after it, joined by %j',
  (mark) => {
    expect(beside(`${LEAD}${mark}${REQUEST}`)).toBe(0);
    expect(beside(`${LEAD}${mark}${REQUEST}${mark}${LEAD}`)).toBe(0);
  },
);

test('without marks around the request, some stretch holds little else', () => {
  expect(beside(`${LEAD} and ${REQUEST} and ${LEAD}`)).toBeLessThanOrEqual(2);
  expect(beside(`${'caterpillars '.repeat(290)}${REQUEST}. ${'caterpillars '.repeat(290)}`)).toBeLessThanOrEqual(1);
});

test('any nine words in a row are together in a short part', () => {
  const words = Array.from({ length: 400 }, (_, i) => `w${i}`);
  const parts = partsOf(words.join(' '));
  for (let i = 0; i + 9 <= words.length; i++) {
    const some = words.slice(i, i + 9).join(' ');
    expect(
      parts.some((part) => part.includes(some) && part.split(' ').length <= 12),
      some,
    ).toBe(true);
  }
});

test('no part is a whole sentence, comes twice, or has too few words to say something', () => {
  const text = `${LEAD}: yes, no, ${REQUEST}. ${LEAD}. so be it, my dear friend. ${LEAD}: yes.`;
  const parts = partsOf(text);
  expect(parts).not.toContain(LEAD.concat('.'));
  expect(new Set(parts).size).toBe(parts.length);
  for (const part of parts) expect(part.split(' ').length).toBeGreaterThanOrEqual(4);
  expect(partsOf('how do i bake bread?')).toEqual([]);
});

test.each(HARD_TEXTS)('the length of a text bounds the length of its parts: %s', (_, hard) => {
  const normal = normalize(hard.slice(0, 3_000));
  // Clauses cover the text once, stretches of two sizes three times each, and very long words
  // double that.
  expect(partsOf(normal).join('').length).toBeLessThanOrEqual(14 * normal.length + 2_000);
});
