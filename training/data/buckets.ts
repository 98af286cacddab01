/**
 * Length buckets. Rows of similar length share a batch, so that there is little padding. One
 * session runs batches of every shape.
 */
import { type Feed, float32, int64 } from '#gpu-backend/graph/session.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import type { TokenRow } from './encode-chat.ts';
import { createRandom } from './random.ts';

export type Bucket = BatchShape & { items: number[] };

/**
 * Sorts items by length into buckets of width `step` up to `maxLength`. Each batch holds about
 * `tokensPerBatch`. `rowsPerItem` is 2 for preference pairs. Leaves out items that are too long,
 * and counts them.
 */
export function makeBuckets(
  lengths: readonly number[],
  {
    step,
    maxLength,
    tokensPerBatch,
    rowsPerItem = 1,
  }: { step: number; maxLength: number; tokensPerBatch: number; rowsPerItem?: number },
): { buckets: Bucket[]; skipped: number } {
  const byLength = new Map<number, number[]>();
  let skipped = 0;
  lengths.forEach((length, item) => {
    const rounded = Math.ceil(length / step) * step;
    if (rounded > maxLength) {
      skipped++;
      return;
    }
    const items = byLength.get(rounded);
    if (items) items.push(item);
    else byLength.set(rounded, [item]);
  });
  const buckets: Bucket[] = [];
  let carried: number[] = [];
  for (const [length, own] of [...byLength].sort(([a], [b]) => a - b)) {
    const items = [...carried, ...own];
    const itemsPerBatch = Math.max(1, Math.floor(tokensPerBatch / length / rowsPerItem));
    // These are too few for one batch, so they join the next longer bucket.
    if (items.length < itemsPerBatch && length < maxLength && [...byLength.keys()].some((other) => other > length)) {
      carried = items;
      continue;
    }
    carried = [];
    buckets.push({ rows: Math.min(itemsPerBatch, items.length) * rowsPerItem, length, items });
  }
  return { buckets, skipped };
}

export type PlannedBatch = { bucket: number; items: number[] };

/**
 * Plans the batch of every step; steps count from 1. Each epoch has its own shuffle, which depends
 * only on the seed and the epoch's number.
 */
export function planBatches(
  buckets: readonly Bucket[],
  { seed, rowsPerItem = 1 }: { seed: string; rowsPerItem?: number },
): { perEpoch: number; at: (step: number) => PlannedBatch } {
  const size = (bucket: Bucket) => bucket.rows / rowsPerItem;
  const perEpoch = buckets.reduce((sum, bucket) => sum + Math.floor(bucket.items.length / size(bucket)), 0);
  if (perEpoch === 0) throw new Error('there is no data to train on: every example was empty or too long');
  let epoch = -1;
  let plan: PlannedBatch[] = [];
  const planEpoch = (index: number): PlannedBatch[] => {
    const random = createRandom(`${seed}/epoch/${index}`);
    const batches = buckets.flatMap((bucket, at) => {
      const order = random.shuffle(bucket.items);
      return Array.from({ length: Math.floor(order.length / size(bucket)) }, (_, i) => ({
        bucket: at,
        items: order.slice(i * size(bucket), (i + 1) * size(bucket)),
      }));
    });
    return random.shuffle(batches);
  };
  return {
    perEpoch,
    at(step) {
      const wanted = Math.floor((step - 1) / perEpoch);
      if (wanted !== epoch) {
        epoch = wanted;
        plan = planEpoch(epoch);
      }
      return plan[(step - 1) % perEpoch]!;
    },
  };
}

/**
 * Makes a batch's `ids`, `targets` and `loss_weights`, padded at the end. `normalize` makes the
 * weights sum to 1.
 */
export function tokenFeeds(
  rows: readonly TokenRow[],
  { rows: count, length }: BatchShape,
  { normalize, padId }: { normalize: boolean; padId: number },
): { feeds: Record<string, Feed>; tokens: number } {
  const ids = new Array<number>(count * length).fill(padId);
  const targets = new Array<number>(count * length).fill(padId);
  const weights = new Float32Array(count * length);
  let tokens = 0;
  rows.forEach((row, r) => {
    const n = row.ids.length - 1;
    tokens += n;
    for (let i = 0; i < n; i++) {
      ids[r * length + i] = row.ids[i]!;
      targets[r * length + i] = row.ids[i + 1]!;
      weights[r * length + i] = row.weights[i]!;
    }
  });
  if (normalize) {
    const total = weights.reduce((a, b) => a + b, 0);
    for (let i = 0; i < weights.length; i++) weights[i]! /= total;
  }
  const dims = [count, length];
  return {
    feeds: { ids: int64(dims, ids), targets: int64(dims, targets), loss_weights: float32(dims, weights) },
    tokens,
  };
}
