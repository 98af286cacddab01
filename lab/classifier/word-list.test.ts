import { expect, test } from 'vitest';
import { wordList } from './word-list.ts';

const times = (count: number, text: string) => Array.from({ length: count }, () => text);

test('sorts words by falling frequency, and words with the same count alphabetically', () => {
  const texts = [...times(5, 'Bake a cake'), ...times(4, 'zebra'), ...times(4, 'apple')];
  expect(wordList(texts)).toEqual(['a', 'bake', 'cake', 'apple', 'zebra']);
});

test('leaves out rare words, with a higher limit for short ones', () => {
  const texts = [
    ...times(2, 'seldom'),
    ...times(3, 'often'),
    ...times(9, 'xyz'),
    ...times(39, 'qx'),
    ...times(99, 'b'),
  ];
  expect(wordList(texts)).toEqual(['often']);
  expect(wordList([...texts, 'xyz', 'qx'])).toEqual(['qx', 'xyz', 'often']);
});

test('keeps apostrophes inside words, and leaves out words with digits or signs', () => {
  expect(wordList(times(3, "don't 'quote' 12th ca$h"))).toEqual(["don't", 'quote']);
});
