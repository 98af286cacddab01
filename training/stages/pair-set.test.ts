import { expect, test } from 'vitest';
import type { TokenRow } from '../data/encode-chat.ts';
import type { PairRows } from '../data/encode-pairs.ts';
import type { Preference } from '../data/rows.ts';
import { bucketPairs } from './pair-set.ts';
import { scoreFeeds } from './scorer.ts';

const preference: Preference = { prompt: [], responses: ['', ''], better: 0, safer: null, source: 'test' };
const row = (tokens: number): TokenRow => ({
  ids: new Uint16Array(tokens).fill(7),
  weights: new Float32Array(tokens - 1),
});
const pair = (chosen: number, rejected: number): PairRows => ({
  chosen: row(chosen),
  rejected: row(rejected),
  preference,
  winner: 0,
  safe: [null, null],
});
const options = { contextLength: 64, pairsPerBatch: 1 };
/** As many as fill a batch of 32 places: fewer would ride with longer ones. */
const batchOf = (chosen: number, rejected: number) => [1, 2, 3].map(() => pair(chosen, rejected));

// Which bucket a pair is in decides the batches, and so the weights that a seed gives.
test('a row of predictions is one place shorter than its tokens', () => {
  const { buckets, skipped } = bucketPairs([...batchOf(33, 20), pair(65, 9)], { ...options, feeds: 'predictions' });
  expect(buckets.map(({ length, items }) => [length, items])).toEqual([
    [32, [0, 1, 2]],
    [64, [3]],
  ]);
  expect(skipped).toBe(0);
});

test('a whole row has a place for every token, its end token included', () => {
  const pairs = [...batchOf(32, 20), pair(33, 9), pair(65, 9)];
  const { buckets, skipped } = bucketPairs(pairs, { ...options, feeds: 'whole' });
  expect(buckets.map(({ length, items }) => [length, items])).toEqual([
    [32, [0, 1, 2]],
    [64, [3]],
  ]);
  expect(skipped).toBe(1);
  const { ids, last } = scoreFeeds([row(33)], { rows: 2, length: 64 }, { padId: 0 });
  expect(Array.from(ids!.data, Number)).toEqual([...new Array(33).fill(7), ...new Array(95).fill(0)]);
  expect(Array.from(last!.data, Number)).toEqual([32]);
});
