import { expect, test } from 'vitest';
import { joinChopped } from './chopped-words.ts';
import { everydayLexicon } from './testing/everyday-lexicon.ts';

test.each([
  ['ho wd oi ba ke br ea d', 'how do i bake bread'],
  ['how doi bak ebr ead wit hap ple s', 'how do i bake bread with apples'],
  ['please answer: ho w  do  i  ba ke  br ea d', 'please answer: how do i bake bread'],
])('reads %j as %j', (text, expected) => {
  expect(joinChopped(text, everydayLexicon)).toBe(expected);
});

test.each(['is it my cat or do i see a dog', 'gdp cpi ppi nfp ecb boj', 'x = a + b; y = c', '', 'a b c'])(
  'joins nothing in %j',
  (text) => {
    expect(joinChopped(text, everydayLexicon)).toBe(text);
  },
);
