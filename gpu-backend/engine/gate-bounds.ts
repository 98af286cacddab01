/**
 * Turns a row's source into the bounds of its gates in the serving graph, `[E]` each. For a plain
 * expert, both bounds of a gate are 0 or both are 1. For a layers row, they are an interval: if the
 * safety expert's share is in [f, c], the helpfulness expert's is in [1 - c, 1 - f]. For a hole in
 * the batch, all bounds are 0, so only the base runs.
 */
import type { ExpertRole } from '../model/manifest.ts';
import type { Source, WeightBounds } from './experts.ts';

export type GatedRow = { source: Source; bounds: WeightBounds | undefined };

/** @returns `low` and `high`, [rows, E] */
export function gateBounds(
  rows: readonly (GatedRow | null)[],
  roles: readonly ExpertRole[],
): { low: Float32Array; high: Float32Array } {
  const intervals = rows.flatMap((row) => roles.map((role) => interval(row, role)));
  return {
    low: Float32Array.from(intervals, ([low]) => low),
    high: Float32Array.from(intervals, ([, high]) => high),
  };
}

function interval(row: GatedRow | null, role: ExpertRole): [low: number, high: number] {
  if (!row?.bounds || row.source !== 'layers') return row?.source === role ? [1, 1] : [0, 0];
  const { floor, ceiling } = row.bounds;
  return role === 'safety' ? [floor, ceiling] : [1 - ceiling, 1 - floor];
}
