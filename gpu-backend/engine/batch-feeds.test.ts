import { expect, test } from 'vitest';
import { batchFeeds } from './batch-feeds.ts';
import { KvCache, MASKED } from './kv-cache.ts';

const LAYERS = 2;
const WIDTH = 3;

/** Three slots. The first holds two tokens, the second is a hole. */
function cacheWithHole() {
  const cache = new KvCache({ layers: LAYERS, width: WIDTH });
  const [first, hole, last] = cache.take(3) as [
    ReturnType<typeof cache.take>[0],
    never,
    ReturnType<typeof cache.take>[0],
  ];
  const fresh = () =>
    Array.from({ length: LAYERS }, (_, layer) =>
      Float32Array.from({ length: 2 * WIDTH }, (_, i) => 10 * layer + i + 1),
    );
  cache.append([{ slot: first, row: 0, count: 2 }], { fresh: { keys: fresh(), values: fresh() }, steps: 2 });
  cache.release(hole);
  return { cache, first, last };
}

const options = {
  width: WIDTH,
  roles: ['safety', 'helpfulness'] as const,
  gates: 'routed' as const,
  lastPosition: 3,
  window: null,
};

test('feeds rows side by side, padded on the right, each at its own length', () => {
  const { cache, first, last } = cacheWithHole();
  // Not in the order of their slots.
  const batch = [
    { ids: [7, 8, 9], slot: last, source: 'layers' as const, bounds: { floor: 0.25, ceiling: 0.5 }, wanted: 2 },
    { ids: [5], slot: first, source: 'safety' as const, bounds: undefined, wanted: 1 },
  ];
  const past = cache.past(batch.map(({ slot }) => slot));
  const { feeds, steps } = batchFeeds(batch, { ...options, past });
  expect(steps).toBe(3);
  const numbers = (name: string) => Array.from(feeds[name]!.data as ArrayLike<number | bigint>, Number);

  expect(feeds.ids!.dims).toEqual([3, 3]);
  expect(numbers('ids')).toEqual([5, 0, 0, 0, 0, 0, 7, 8, 9]);
  // The first row continues at position 2. Its padding stays within the table, whose last position
  // is 3.
  expect(numbers('positions')).toEqual([2, 3, 3, 0, 0, 0, 0, 1, 2]);
  // The last two tokens of the third row, then the only token of the first.
  expect(numbers('wanted')).toEqual([7, 8, 0]);

  expect(feeds.gates_low!.dims).toEqual([3, 1, 2]);
  expect(numbers('gates_low')).toEqual([1, 0, 0, 0, 0.25, 0.5]);
  expect(numbers('gates_high')).toEqual([1, 0, 0, 0, 0.5, 0.75]);

  expect(feeds.past_mask!.dims).toEqual([3, 1, 1, 2]);
  const M = Math.fround(MASKED);
  expect(numbers('past_mask')).toEqual([0, 0, M, M, M, M]);
  expect(feeds.new_mask!.dims).toEqual([3, 1, 3, 3]);
  const causal = [0, M, M, 0, 0, M, 0, 0, 0];
  expect(numbers('new_mask')).toEqual([...causal, ...causal, ...causal]);

  for (let layer = 0; layer < LAYERS; layer++) {
    expect(feeds[`past_k.${layer}`]!.dims).toEqual([2, 3, WIDTH]);
    const keys = numbers(`past_k.${layer}`);
    expect([keys.slice(0, 3), keys.slice(9, 12)]).toEqual([
      [1, 2, 3].map((x) => 10 * layer + x),
      [4, 5, 6].map((x) => 10 * layer + x),
    ]);
    expect(feeds[`past_v.${layer}`]!.dims).toEqual([2, 3, WIDTH]);
  }
});

test.each([
  ['fixed', ['gates_low']],
  ['routed', ['gates_low', 'gates_high']],
  ['none', []],
] as const)('feeds a graph with gates of the kind %s just its own bounds', (gates, wanted) => {
  const { cache, last } = cacheWithHole();
  const batch = [{ ids: [1], slot: last, source: 'safety' as const, bounds: undefined, wanted: 0 }];
  const { feeds } = batchFeeds(batch, { ...options, gates, past: cache.past([last]) });
  expect(Object.keys(feeds).filter((name) => name.startsWith('gates'))).toEqual(wanted);
});

test('feeds a window as a mask for each new token', () => {
  const { cache, first, last } = cacheWithHole();
  const batch = [
    { ids: [7, 8, 9], slot: last, source: 'safety' as const, bounds: undefined, wanted: 1 },
    { ids: [5], slot: first, source: 'safety' as const, bounds: undefined, wanted: 1 },
  ];
  const past = cache.past(batch.map(({ slot }) => slot));
  const { feeds } = batchFeeds(batch, { ...options, window: 2, past });
  const M = Math.fround(MASKED);
  // The first row has two tokens of past, the hole and the last row none.
  expect(feeds.past_mask!.dims).toEqual([3, 1, 3, 2]);
  const none = [M, M, M, M, M, M];
  expect([...(feeds.past_mask!.data as Float32Array)]).toEqual([M, 0, M, M, M, M, ...none, ...none]);
  const causal = [0, M, M, 0, 0, M, M, 0, 0];
  expect([...(feeds.new_mask!.data as Float32Array)]).toEqual([...causal, ...causal, ...causal]);
});
