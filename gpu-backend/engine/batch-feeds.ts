/**
 * The inputs of one run of the serving graph (model/serving-graph.ts describes each), for sequences
 * of different lengths. A row with fewer new tokens than the longest is padded on the right.
 */
import { type Feed, float32 } from '../graph/session.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { newMask, windowedPastMask } from './attention-masks.ts';
import { type GatedRow, gateBounds } from './gate-bounds.ts';
import type { Past, Slot } from './kv-cache.ts';

export type BatchedStep = GatedRow & {
  ids: readonly number[];
  slot: Slot;
  /** How many of `ids`, from the end, need logits. */
  wanted: number;
};

export type BatchOptions = {
  past: Past;
  /** The width of one position's keys. */
  width: number;
  /** The experts, in the graph's order. */
  roles: readonly ExpertRole[];
  /** What bounds the graph's gates: nothing (it has none), one number each, or an interval. */
  gates: 'none' | 'fixed' | 'routed';
  /** The last position of the rotary table. */
  lastPosition: number;
  /** How many tokens a token sees; null for all. */
  window: number | null;
};

/**
 * @returns the graph's inputs for the rows of `past`, and T, the number of tokens per row. The
 *   wanted tokens come in the order of the batch.
 */
export function batchFeeds(
  batch: readonly BatchedStep[],
  { past, width, roles, gates, lastPosition, window }: BatchOptions,
): { feeds: Record<string, Feed>; steps: number } {
  const { rows: B, length: P } = past;
  const T = Math.max(...batch.map(({ ids }) => ids.length));
  const ids = new BigInt64Array(B * T);
  const positions = new BigInt64Array(B * T);
  const wanted: bigint[] = [];
  const gated = new Array<GatedRow | null>(B).fill(null);
  const lengths = new Array<number>(B).fill(0);
  for (const [i, step] of batch.entries()) {
    const row = past.rowOf[i]!;
    for (let t = 0; t < T; t++) {
      ids[row * T + t] = BigInt(step.ids[t] ?? 0);
      // Padding needs a valid position in the rotary table. Nobody reads its results.
      positions[row * T + t] = BigInt(Math.min(step.slot.length + t, lastPosition));
    }
    for (let t = step.ids.length - step.wanted; t < step.ids.length; t++) wanted.push(BigInt(row * T + t));
    gated[row] = step;
    lengths[row] = step.slot.length;
  }
  const { low, high } = gateBounds(gated, roles);
  const gateDims = [B, 1, roles.length];
  const feeds: Record<string, Feed> = {
    ids: { dims: [B, T], data: ids },
    positions: { dims: [B, T], data: positions },
    wanted: { dims: [wanted.length], data: BigInt64Array.from(wanted) },
    past_mask:
      window === null
        ? float32([B, 1, 1, P], past.mask)
        : float32([B, 1, T, P], windowedPastMask(past, { lengths, T, window })),
    new_mask: float32([B, 1, T, T], newMask(B, T, window)),
    ...(gates !== 'none' && { gates_low: float32(gateDims, low) }),
    ...(gates === 'routed' && { gates_high: float32(gateDims, high) }),
  };
  past.keys.forEach((keys, layer) => {
    feeds[`past_k.${layer}`] = float32([P, B, width], keys);
    feeds[`past_v.${layer}`] = float32([P, B, width], past.values[layer]!);
  });
  return { feeds, steps: T };
}
