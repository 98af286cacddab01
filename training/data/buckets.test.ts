import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeBuckets, planBatches, tokenFeeds } from './buckets.ts';

const options = { step: 16, maxLength: 128, tokensPerBatch: 256 };
const lengths = fc.array(fc.integer({ min: 1, max: 160 }), { minLength: 1, maxLength: 200 });

describe('buckets', () => {
  test('hold every row that fits exactly once, in a bucket long enough for it', () => {
    fc.assert(
      fc.property(lengths, (all) => {
        const { buckets, skipped } = makeBuckets(all, options);
        const placed = buckets.flatMap(({ length, items }) => items.map((item) => ({ item, length })));
        expect(placed.length + skipped).toBe(all.length);
        expect(new Set(placed.map(({ item }) => item)).size).toBe(placed.length);
        for (const { item, length } of placed) expect(all[item]!).toBeLessThanOrEqual(length);
        for (const { rows, length } of buckets) expect(rows * length).toBeLessThanOrEqual(Math.max(256, length));
      }),
    );
  });

  test('an epoch visits no row twice, and a step has the same batch in every run', () => {
    const { buckets } = makeBuckets(
      Array.from({ length: 100 }, (_, i) => 1 + ((i * 7) % 100)),
      options,
    );
    const plan = planBatches(buckets, { seed: 's' });
    const epoch = Array.from({ length: plan.perEpoch }, (_, i) => plan.at(i + 1));
    const items = epoch.flatMap((batch) => batch.items);
    expect(new Set(items).size).toBe(items.length);
    const again = planBatches(buckets, { seed: 's' });
    for (const step of [plan.perEpoch * 2 + 3, 5, plan.perEpoch + 1]) expect(again.at(step)).toEqual(plan.at(step));
    expect(plan.at(plan.perEpoch + 1)).not.toEqual(plan.at(1));
  });

  test('planning without data to train on is an error', () => {
    expect(() => planBatches(makeBuckets([500], options).buckets, { seed: 's' })).toThrow('no data to train on');
  });
});

test('feeds are shifted by one, padded at the end, and their weights sum to 1', () => {
  const rows = [
    { ids: Uint32Array.of(1, 7, 8, 2), weights: Float32Array.of(0, 1, 1) },
    { ids: Uint32Array.of(1, 9), weights: Float32Array.of(1) },
  ];
  const { feeds, tokens } = tokenFeeds(rows, { rows: 2, length: 4 }, { normalize: true, padId: 0 });
  expect(Array.from(feeds.ids!.data, Number)).toEqual([1, 7, 8, 0, 1, 0, 0, 0]);
  expect(Array.from(feeds.targets!.data, Number)).toEqual([7, 8, 2, 0, 9, 0, 0, 0]);
  const wanted = [0, 1, 1, 0, 1, 0, 0, 0].map((weight) => Math.fround(weight / 3));
  expect([...feeds.loss_weights!.data]).toEqual(wanted);
  expect(tokens).toBe(4);
});
