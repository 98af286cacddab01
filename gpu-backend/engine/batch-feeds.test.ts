import { expect, test } from 'vitest';
import { MASKED } from './attention-masks.ts';
import { batchFeeds } from './batch-feeds.ts';
import { KvCache } from './kv-cache.ts';

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
  cache.append([{ slot: first, row: 0, count: 2 }], { fresh: { keys: fresh(), values: fresh() }, rows: 1 });
  cache.release(hole);
  return { cache, first, last };
}

const options = {
  heads: { keyValue: 1, groups: 2, size: WIDTH },
  roles: ['safety', 'helpfulness'] as const,
  gates: 'routed' as const,
  lastPosition: 3,
  window: null,
  sums: false,
};

test('feeds rows side by side, padded on the right, each at its own length', () => {
  const { cache, first, last } = cacheWithHole();
  // Not in the order of their slots.
  const batch = [
    { ids: [7, 8, 9], slot: last, source: 'layers' as const, bounds: { floor: 0.25, ceiling: 0.5 }, wanted: 2 },
    { ids: [5], slot: first, source: 'safety' as const, bounds: undefined, wanted: 1 },
  ];
  const past = cache.past(batch.map(({ slot }) => slot));
  const feeds = batchFeeds(batch, { ...options, past });
  const numbers = (name: string) => Array.from(feeds[name]!.data as ArrayLike<number | bigint>, Number);

  // Place by place: all rows' first tokens, then their second ones, then their third.
  expect(feeds.ids!.dims).toEqual([9]);
  expect(numbers('ids')).toEqual([5, 0, 7, 0, 0, 8, 0, 0, 9]);
  // The first row continues at position 2. Its padding stays within the table, whose last position
  // is 3.
  expect(feeds.positions!.dims).toEqual([9, 1]);
  expect(numbers('positions')).toEqual([2, 0, 0, 3, 0, 1, 3, 0, 2]);
  // The last two tokens of the third row, then the only token of the first.
  expect(numbers('wanted')).toEqual([5, 8, 0]);

  const bounds = (first: number[], last: number[]) => [...first, 0, 0, ...last];
  expect(feeds.gates_low!.dims).toEqual([9, 2]);
  expect(numbers('gates_low')).toEqual(
    Array(3)
      .fill(bounds([1, 0], [0.25, 0.5]))
      .flat(),
  );
  expect(numbers('gates_high')).toEqual(
    Array(3)
      .fill(bounds([1, 0], [0.5, 0.75]))
      .flat(),
  );

  expect(numbers('query_shape')).toEqual([3, 3, 1, 2, WIDTH]);
  expect(numbers('key_shape')).toEqual([3, 3, 1, 1, WIDTH]);
  expect(numbers('parts')).toEqual([2, 3]);
  expect(feeds.mask!.dims).toEqual([3, 1, 1, 3, 5]);
  const M = Math.fround(MASKED);
  const causal = (past: number[]) => [
    [...past, 0, M, M],
    [...past, 0, 0, M],
    [...past, 0, 0, 0],
  ];
  expect(numbers('mask')).toEqual([...causal([0, 0]), ...causal([M, M]), ...causal([M, M])].flat());

  for (let layer = 0; layer < LAYERS; layer++) {
    expect(feeds[`past_k.${layer}`]!.dims).toEqual([2, 3, 1, 1, WIDTH]);
    const keys = numbers(`past_k.${layer}`);
    expect([keys.slice(0, 3), keys.slice(9, 12)]).toEqual([
      [1, 2, 3].map((x) => 10 * layer + x),
      [4, 5, 6].map((x) => 10 * layer + x),
    ]);
    expect(feeds[`past_v.${layer}`]!.dims).toEqual([2, 3, 1, 1, WIDTH]);
  }
});

test.each([
  ['fixed', ['gates_low']],
  ['routed', ['gates_low', 'gates_high']],
  ['none', []],
] as const)('feeds a graph with gates of the kind %s just its own bounds', (gates, wanted) => {
  const { cache, last } = cacheWithHole();
  const batch = [{ ids: [1], slot: last, source: 'safety' as const, bounds: undefined, wanted: 0 }];
  const feeds = batchFeeds(batch, { ...options, gates, past: cache.past([last]) });
  expect(Object.keys(feeds).filter((name) => name.startsWith('gates'))).toEqual(wanted);
});

test('feeds the window as part of the mask', () => {
  const { cache, first } = cacheWithHole();
  const batch = [{ ids: [7, 8, 9], slot: first, source: 'safety' as const, bounds: undefined, wanted: 1 }];
  const feeds = batchFeeds(batch, { ...options, window: 2, past: cache.past([first]) });
  const M = Math.fround(MASKED);
  // Rows of the slab that the batch does not have see no past.
  expect([...(feeds.mask!.data as Float32Array).subarray(0, 15)]).toEqual(
    [
      [M, 0, 0, M, M],
      [M, M, 0, 0, M],
      [M, M, M, 0, 0],
    ].flat(),
  );
});

test('the tokens of summed stretches come with weights, short ones filled up with their own first token', () => {
  const { cache, first, last } = cacheWithHole();
  const common = { source: 'safety' as const, bounds: undefined, wanted: 0 };
  const batch = [
    {
      ...common,
      ids: [7, 8, 9],
      slot: last,
      summed: [
        { from: 0, to: 3 },
        { from: 2, to: 3 },
      ],
    },
    { ...common, ids: [5, 6], slot: first, summed: [{ from: 0, to: 2 }] },
  ];
  const past = cache.past(batch.map(({ slot }) => slot));
  const feeds = batchFeeds(batch, { ...options, past, sums: true });
  expect(feeds.sum_tokens!.dims).toEqual([3, 3]);
  expect(Array.from(feeds.sum_tokens!.data as BigInt64Array, Number)).toEqual([2, 5, 8, 8, 8, 8, 0, 3, 0]);
  expect(feeds.sum_weights!.dims).toEqual([3, 1, 3]);
  expect(Array.from(feeds.sum_weights!.data as Float32Array)).toEqual([1, 1, 1, 1, 0, 0, 1, 1, 0]);
  const none = batchFeeds([{ ...common, ids: [7], slot: last }], { ...options, past: cache.past([last]), sums: true });
  expect([none.sum_tokens!.dims, none.sum_weights!.dims]).toEqual([
    [0, 1],
    [0, 1, 1],
  ]);
});
