import { expect, test } from 'vitest';
import { isCompound, isEnglish, isJargon, isScience } from './english-words.ts';
import { createLexicon } from './lexicon.ts';

const lexicon = createLexicon(['build', 'make', 'happy', 'roof', 'tops', 'water', 'logged']);

test.each(['build', 'builds', 'building', 'making', 'rebuild', "build's", 'happily', 'unhappy'])(
  '%s is English',
  (word) => {
    expect(isEnglish(word, lexicon)).toBe(true);
  },
);

test.each(['bauen', 'ing', 're', 'zmake'])('%s is not English', (word) => {
  expect(isEnglish(word, lexicon)).toBe(false);
});

test('knows scientific words, jargon and compounds', () => {
  expect(['thyroiditis', 'rosuvastatin', 'bacteriology'].every(isScience)).toBe(true);
  expect(['bitte', 'automne', 'osis'].some(isScience)).toBe(false);
  expect(['dont', 'numpy', 'hath'].every(isJargon)).toBe(true);
  expect(isCompound('waterlogged', lexicon)).toBe(true);
  expect(isCompound('rooftop', lexicon)).toBe(false);
});
