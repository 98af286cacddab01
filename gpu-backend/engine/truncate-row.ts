/**
 * Truncates whole rows to the k likeliest tokens of one row, or of two rows that the gate will
 * compare.
 */
import { logSoftmax } from '#shared/gate/index.ts';
import type { TruncatedRow } from './experts.ts';

/**
 * @param logits [V] of the row itself
 * @param beside [V] of the row it will be compared with; null if there is none
 * @returns the row at the k likeliest ids of both. Throws if either is not a distribution, because
 *   then there is nothing to send.
 */
export function truncateRow(
  logits: Float32Array,
  { beside, k }: { beside: Float32Array | null; k: number },
): TruncatedRow {
  const row = distribution(logits);
  const union = new Set([...likeliest(row, k), ...(beside ? likeliest(distribution(beside), k) : [])]);
  const ids = Int32Array.from(union).sort();
  return { ids, logprobs: Float64Array.from(ids, (id) => row[id]!), topK: k };
}

/** The k likeliest ids; among equals, the lowest. */
function likeliest(row: Float64Array, k: number): number[] {
  return Array.from(row.keys())
    .sort((a, b) => row[b]! - row[a]! || a - b)
    .slice(0, k);
}

function distribution(logits: Float32Array): Float64Array {
  const row = logSoftmax(logits);
  if (!row) throw new Error('the expert gave no distribution');
  return row;
}
