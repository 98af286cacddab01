import { expect, test } from 'vitest';
import { sentenceWords } from './sentence-words.ts';
import { splitSentences } from './split-sentences.ts';

test.each([
  ['Rinse well. Is it clean?', ['Rinse well.', 'Is it clean?']],
  ['One line\nanother line', ['One line', 'another line']],
  ['Use a cleaner, e.g. soap. Then rinse.', ['Use a cleaner, e.g. soap.', 'Then rinse.']],
  ['Closed after 5 p.m. Come back tomorrow.', ['Closed after 5 p.m.', 'Come back tomorrow.']],
  ['Ask Dr. Smith.', ['Ask Dr. Smith.']],
  ['It takes 2.5 hours.', ['It takes 2.5 hours.']],
  ['"Stop." Then he left.', ['"Stop."', 'Then he left.']],
  ['... !', []],
  ['', []],
])('splits %j', (text, sentences) => {
  expect(splitSentences(text)).toEqual(sentences);
});

test.each([
  ["Don't mix cleaners!", ['do', 'not', 'mix', 'cleaner']],
  ['You CANNOT; you can’t.', ['you', 'can', 'not', 'you', 'can', 'not']],
  ["It won't work", ['it', 'will', 'not', 'work']],
  ['mixing mixed mixes mix', ['mix', 'mix', 'mix', 'mix']],
  ['batteries battery', ['battery', 'battery']],
  ['glass glasses', ['glass', 'glass']],
])('takes the words of %j', (text, words) => {
  expect(sentenceWords(text)).toEqual(words);
});
