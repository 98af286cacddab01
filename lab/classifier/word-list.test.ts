import { expect, test } from 'vitest';
import { wordList } from './word-list.ts';

const times = (count: number, text: string) => Array.from({ length: count }, () => text);

test('words by falling frequency, those of one count in alphabetical order', () => {
  const texts = [...times(5, 'Bake a cake'), ...times(4, 'zebra'), ...times(4, 'apple')];
  expect(wordList(texts)).toEqual(['a', 'bake', 'cake', 'apple', 'zebra']);
});

test('what is seen seldom is no word, and a short string has to be seen often', () => {
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

test('apostrophes stay, digits and signs are no letters', () => {
  expect(wordList(times(3, "don't 'quote' 12th ca$h"))).toEqual(["don't", 'quote']);
});
