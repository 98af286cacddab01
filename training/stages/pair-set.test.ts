import { describe, expect, test } from 'vitest';
import type { TokenRow } from '../data/encode-chat.ts';
import type { PairRows } from '../data/encode-pairs.ts';
import type { Preference } from '../data/rows.ts';
import { LETTERS } from '../testing/letter-tokenizer.ts';
import { TINY } from '../testing/tiny-model.ts';
import { bucketPairs, pairSet } from './pair-set.ts';
import { scoreFeeds } from './scorer.ts';

const preference: Preference = { prompt: [], responses: ['', ''], better: 0, safer: null, source: 'test' };
const row = (tokens: number): TokenRow => ({
  ids: new Uint32Array(tokens).fill(7),
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
/** Enough pairs to fill a batch of length 32. Fewer would join a longer bucket. */
const batchOf = (chosen: number, rejected: number) => [1, 2, 3].map(() => pair(chosen, rejected));

// These tests fix the buckets, because buckets decide the batches and so the weights for a seed.
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
    [40, [3]],
  ]);
  expect(skipped).toBe(1);
  const { ids, last } = scoreFeeds([row(33)], { rows: 2, length: 64 }, { padId: 0 });
  expect(Array.from(ids!.data, Number)).toEqual([...new Array(33).fill(7), ...new Array(95).fill(0)]);
  expect(Array.from(last!.data, Number)).toEqual([32]);
});

test('rows are padded to a multiple of 8 with few pairs a batch, and of 32 with more', () => {
  const pairs = Array.from({ length: 40 }, (_, i) => pair(34 + (i % 2), 9));
  const lengths = (pairsPerBatch: number) =>
    bucketPairs(pairs, { contextLength: 64, pairsPerBatch, feeds: 'whole' }).buckets.map(({ length }) => length);
  expect(lengths(2)).toEqual([40]);
  expect(lengths(8)).toEqual([64]);
});

describe('the summary of a stage', () => {
  const config = { ...TINY, max_position_embeddings: 64 };
  const set = (preferences: Preference[]) =>
    pairSet(preferences, {
      what: 'to train on',
      tokenizer: LETTERS,
      config,
      dimension: 'better',
      pairsPerBatch: 1,
      feeds: 'whole',
    });
  const asked = (content: string, responses: [string, string]): Preference => ({
    ...preference,
    prompt: [{ role: 'user', content }],
    responses,
  });
  const faulty = [
    asked('how?', ['the same', 'the same ']),
    asked('how?', ['the same', 'the same ']),
    asked('how? '.repeat(20), ['a', 'b']),
    asked('how?', ['a', 'b'.repeat(80)]),
  ];
  const leftOut =
    '2 with equal answers, 1 with a prompt longer than the context, 1 with an answer that does not fit the context';

  test('counts the pairs it left out, by reason', () => {
    expect(set([asked('how?', ['a', 'b']), ...faulty]).summary).toBe(`1 pairs to train on; left out: ${leftOut}`);
  });

  test('becomes an error if no pair is left, or if there was none', () => {
    expect(() => set(faulty)).toThrow(`there is no pair to train on; left out: ${leftOut}`);
    expect(() => set([])).toThrow('there is no pair to train on; left out: none');
  });
});
