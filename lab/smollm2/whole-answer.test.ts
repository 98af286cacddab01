import { describe, expect, test } from 'vitest';
import { firstSentences, wholeAnswer } from './whole-answer.ts';

describe('an answer that ran out of tokens', () => {
  test.each<[string, string | null]>([
    ['Boil the water. Then add the', 'Boil the water.'],
    ['He said "no." And then he', 'He said "no."'],
    ['Is it? It is! But', 'Is it? It is!'],
    ['Here is a list:\n1. Wash it.\n2. Dry', 'Here is a list:\n1. Wash it.'],
    ['1. 2. 3.', null],
    ['a very long sentence without an end', null],
    ['', null],
  ])('"%s" becomes "%s"', (text, whole) => {
    expect(wholeAnswer({ text, finish: 'length' })).toBe(whole);
  });
});

test('an answer that its model ended stays as it is', () => {
  expect(wholeAnswer({ text: ' No end ', finish: 'stop' })).toBe('No end');
  expect(wholeAnswer({ text: '  ', finish: 'stop' })).toBeNull();
});

test.each([
  [0, 'One.'],
  [9, 'One. Two two.'],
  [1000, 'One. Two two. Three.'],
])('the first sentences nearest to %i characters are "%s"', (characters, wanted) => {
  expect(firstSentences('One. Two two. Three.', characters)).toBe(wanted);
});
