import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLexicon } from './lexicon.ts';

const lexicon = createLexicon(['the', 'how', 'dont', 'bake']);

test('a commoner word costs less, and an unknown one pays for every letter', () => {
  expect(lexicon.cost('the')).toBeLessThan(lexicon.cost('how'));
  expect(lexicon.cost('bake')).toBeLessThan(lexicon.cost('bakx'));
  expect(lexicon.cost('xyzzy') - lexicon.cost('xyzz')).toBeCloseTo(2.5);
  expect(lexicon.unknownCost('the')).toBe(lexicon.cost('thx'));
});

test('knows a word without its apostrophe', () => {
  expect(lexicon.cost("don't")).toBe(lexicon.cost('dont'));
  expect(lexicon.has("don't")).toBe(false);
});

test('finds every known word that begins at a place, with or without its apostrophe', () => {
  const { wordsFrom, cost } = createLexicon(['a', 'at', "don't", 'the', 'then']);
  const found = (text: string, start: number) => {
    const words: [string, number][] = [];
    wordsFrom(text, start, (end, nats) => words.push([text.slice(start, end), nats]));
    return words.map(([word, nats]) => [word, nats.toFixed(3)]);
  };
  const each = (...words: string[]) => words.map((word) => [word, cost(word === 'dont' ? "don't" : word).toFixed(3)]);
  expect(found('athena', 0)).toEqual(each('a', 'at'));
  expect(found('athena', 1)).toEqual(each('the', 'then'));
  expect(found('dont', 0)).toEqual(each('dont'));
  expect(found('xyz', 0)).toEqual([]);
});

test('every string costs something, whatever the list holds', () => {
  const word = fc.string({ unit: fc.constantFrom(..."abch'"), maxLength: 12 });
  fc.assert(
    fc.property(fc.uniqueArray(word, { maxLength: 5 }), word, (words, asked) => {
      const cost = createLexicon(words).cost(asked);
      expect(cost > 0 && Number.isFinite(cost)).toBe(true);
    }),
  );
});
