import { expect, test } from 'vitest';
import { makeBuckets, planBatches } from '../data/buckets.ts';
import { seenPairs } from './train-pairs.ts';

const { buckets } = makeBuckets([5, 5, 5, 40, 40, 6, 7, 41], {
  step: 32,
  maxLength: 64,
  tokensPerBatch: 128,
  rowsPerItem: 2,
});
const set = { pairs: [], buckets, summary: '' };
const plan = planBatches(buckets, { seed: 'seen', rowsPerItem: 2 });
const itemsOf = ({ buckets }: { buckets: readonly { items: number[] }[] }) =>
  buckets.flatMap(({ items }) => items).sort((a, b) => a - b);

test('a run shorter than an epoch sees the pairs of its batches, and no others', () => {
  expect(plan.perEpoch).toBeGreaterThan(2);
  const batches = [1, 2].flatMap((number) => plan.at(number).items).sort((a, b) => a - b);
  const seen = seenPairs(set, plan, 2);
  expect(itemsOf(seen)).toEqual(batches);
  expect(itemsOf(seen).length).toBeLessThan(itemsOf(set).length);
  expect(seen.buckets.map(({ rows, length }) => [rows, length])).toEqual(
    buckets.map(({ rows, length }) => [rows, length]),
  );
});

test('a run of an epoch or more may see all of them', () => {
  expect(seenPairs(set, plan, plan.perEpoch)).toBe(set);
});
