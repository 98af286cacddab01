import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Guess } from './guesser.ts';
import { PromptLookup } from './prompt-lookup.ts';

test('guesses what followed the same tokens before', () => {
  expect(new PromptLookup([5, 6, 7, 8, 9, 5, 6]).guess(3)).toEqual({ ids: [7, 8, 9], seen: 2 });
});

test('guesses nothing if the last two tokens have not come together before', () => {
  for (const ids of [[], [5], [5, 6], [5, 6, 7, 6, 5], [5, 6, 7, 5]]) {
    expect(new PromptLookup(ids).guess(3)).toEqual({ ids: [], seen: 0 });
  }
});

test('prefers the longest context that was seen before, and among equals the latest', () => {
  expect(new PromptLookup([1, 5, 6, 30, 2, 5, 6, 40, 1, 5, 6]).guess(1).ids).toEqual([30]);
  expect(new PromptLookup([1, 5, 6, 30, 1, 5, 6, 40, 1, 5, 6]).guess(1).ids).toEqual([40]);
});

test('goes on with its own guess where the text repeats itself', () => {
  expect(new PromptLookup([9, 1, 2, 3, 1, 2, 3]).guess(7).ids).toEqual([1, 2, 3, 1, 2, 3, 1]);
  expect(new PromptLookup([4, 4, 4]).guess(4).ids).toEqual([4, 4, 4, 4]);
});

/** The definition, read word by word: every earlier place, every length. */
function slowGuess(ids: readonly number[], count: number): Guess {
  let best: number | null = null;
  let longest = 1;
  for (let place = ids.length - 1; place >= 2; place--) {
    let length = 0;
    while (length < place && length < 12 && ids[place - 1 - length] === ids[ids.length - 1 - length]) length++;
    if (length > longest) [best, longest] = [place, length];
  }
  if (best === null) return { ids: [], seen: 0 };
  const text = [...ids];
  for (let i = 0; i < count; i++) text.push(text[best + i]!);
  return { ids: text.slice(ids.length), seen: longest };
}

test('gives the same guesses as a search of the whole text, wherever prompt and answer meet', () => {
  // Up to 16 tries find every place in texts this short.
  const text = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 17 });
  fc.assert(
    fc.property(text, fc.nat(17), fc.integer({ min: 1, max: 8 }), (ids, cut, count) => {
      const lookup = new PromptLookup(ids.slice(0, cut));
      for (const id of ids.slice(cut)) lookup.push(id);
      expect(lookup.guess(count)).toEqual(slowGuess(ids, count));
      expect(lookup.length).toBe(ids.length);
    }),
    { numRuns: 2000 },
  );
});

test('tells pairs of large ids apart', () => {
  const large = 2 ** 26 - 1;
  expect(new PromptLookup([0, large, 1, 1, 0, 2, 0, large]).guess(1).ids).toEqual([1]);
});

test('looks only at the latest sixteen places where a frequent pair was', () => {
  const filler = (count: number) => Array.from({ length: count }, (_, i) => [100 + i, 1, 2, 4]).flat();
  const end = [90, 1, 2];
  expect(new PromptLookup([90, 1, 2, 3, ...filler(15), ...end]).guess(1).ids).toEqual([3]);
  expect(new PromptLookup([90, 1, 2, 3, ...filler(16), ...end]).guess(1).ids).toEqual([4]);
});
