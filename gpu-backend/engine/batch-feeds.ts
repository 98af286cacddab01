/**
 * The inputs of one run of the serving graph (model/serving-graph.ts describes each), for sequences
 * of different lengths. A row with fewer new tokens than the longest is padded on the right.
 */
import { type Feed, float32, int64 } from '../graph/session.ts';
import { foldFor } from '../model/cached-attention.ts';
import type { Span } from '../model/looked-messages.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { attentionMask } from './attention-masks.ts';
import { type GatedRow, gateBounds } from './gate-bounds.ts';
import type { Past, Slot } from './kv-cache.ts';

export type BatchedStep = GatedRow & {
  ids: readonly number[];
  slot: Slot;
  /** How many of `ids`, from the end, need logits. */
  wanted: number;
  /** Of `ids`, the stretches whose hidden states are summed, none empty. */
  summed?: readonly Span[];
};

/** A layer's heads: how many for keys, the query heads that share one, and numbers per head. */
export type Heads = { keyValue: number; groups: number; size: number };

export type BatchOptions = {
  past: Past;
  heads: Heads;
  /** The experts, in the graph's order. */
  roles: readonly ExpertRole[];
  /** What bounds the graph's gates: nothing (it has none), one number each, or an interval. */
  gates: 'none' | 'fixed' | 'routed';
  /** The last position of the rotary table. */
  lastPosition: number;
  /** How many tokens a token sees; null for all. */
  window: number | null;
  /** Whether the graph sums hidden states. */
  sums: boolean;
};

/**
 * @returns the graph's inputs for the rows of `past`. The wanted tokens come in the order of the
 *   batch, and so do the summed stretches.
 */
export function batchFeeds(
  batch: readonly BatchedStep[],
  { past, heads, roles, gates, lastPosition, window, sums }: BatchOptions,
): Record<string, Feed> {
  const { rows: B, length: P } = past;
  const T = Math.max(...batch.map(({ ids }) => ids.length));
  const ids = new BigInt64Array(T * B);
  const positions = new BigInt64Array(T * B);
  const wanted: number[] = [];
  const summed: number[][] = [];
  const gated = new Array<GatedRow | null>(B).fill(null);
  const lengths = new Array<number>(B).fill(0);
  for (const [i, step] of batch.entries()) {
    const row = past.rowOf[i]!;
    for (let t = 0; t < T; t++) {
      ids[t * B + row] = BigInt(step.ids[t] ?? 0);
      // Padding needs a valid position in the rotary table. Nobody reads its results.
      positions[t * B + row] = BigInt(Math.min(step.slot.length + t, lastPosition));
    }
    for (let t = step.ids.length - step.wanted; t < step.ids.length; t++) wanted.push(t * B + row);
    for (const { from, to } of step.summed ?? []) {
      summed.push(Array.from({ length: to - from }, (_, t) => (from + t) * B + row));
    }
    gated[row] = step;
    lengths[row] = step.slot.length;
  }
  const { low, high } = gateBounds(gated, roles);
  const perToken = (bounds: Float32Array) => float32([T * B, roles.length], repeat(bounds, T));
  const { groups, keyValue, size } = heads;
  const fold = foldFor({ tokens: T, groups });
  const feeds: Record<string, Feed> = {
    ids: { dims: [T * B], data: ids },
    positions: { dims: [T * B, 1], data: positions },
    wanted: int64([wanted.length], wanted),
    mask: float32([B, 1, 1, T, P + T], attentionMask(lengths, { T, P, window })),
    query_shape: int64([5], [T, B, keyValue, groups, size]),
    key_shape: int64([5], [T, B, keyValue, 1, size]),
    fold: int64([5], [0, 0, fold.matrices, fold.rows, 0]),
    parts: int64([2], [P, T]),
    ...(sums && sumFeeds(summed)),
    ...(gates !== 'none' && { gates_low: perToken(low) }),
    ...(gates === 'routed' && { gates_high: perToken(high) }),
  };
  const dims = [P, B, keyValue, 1, size];
  past.keys.forEach((keys, layer) => {
    feeds[`past_k.${layer}`] = float32(dims, keys);
    feeds[`past_v.${layer}`] = float32(dims, past.values[layer]!);
  });
  return feeds;
}

/**
 * `sum_tokens [S, G]` and `sum_weights [S, 1, G]` for stretches of different lengths. A short one
 * is filled up with its own first token at weight 0, never with another row's: 0 times NaN is NaN.
 */
function sumFeeds(summed: readonly (readonly number[])[]): Record<'sum_tokens' | 'sum_weights', Feed> {
  const S = summed.length;
  const G = Math.max(1, ...summed.map(({ length }) => length));
  const weights = new Float32Array(S * G);
  const tokens = new BigInt64Array(S * G);
  for (const [s, places] of summed.entries()) {
    for (let i = 0; i < G; i++) tokens[s * G + i] = BigInt(places[i] ?? places[0]!);
    weights.fill(1, s * G, s * G + places.length);
  }
  return { sum_tokens: { dims: [S, G], data: tokens }, sum_weights: float32([S, 1, G], weights) };
}

function repeat(values: Float32Array, times: number): Float32Array {
  const all = new Float32Array(values.length * times);
  for (let i = 0; i < times; i++) all.set(values, i * values.length);
  return all;
}
