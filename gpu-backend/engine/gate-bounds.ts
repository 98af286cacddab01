/**
 * A row's source as the bounds of its gates in the serving graph, `[E]` each: 0 or 1 twice for a plain expert, an interval for a
 * layers row. With safety's share in [f, c], helpfulness' is in [1 - c, 1 - f].
 */
import type { ExpertRole } from '../model/manifest.ts';
import type { RowSource } from './experts.ts';

/** @returns `low` and `high`, [rows, E] */
export function gateBounds(
  sources: readonly RowSource[],
  roles: readonly ExpertRole[],
): { low: Float32Array; high: Float32Array } {
  const intervals = sources.flatMap((source) => roles.map((role) => interval(source, role)));
  return {
    low: Float32Array.from(intervals, ([low]) => low),
    high: Float32Array.from(intervals, ([, high]) => high),
  };
}

function interval(source: RowSource, role: ExpertRole): [low: number, high: number] {
  if (source.kind !== 'layers') return source.kind === role ? [1, 1] : [0, 0];
  const { floor, ceiling } = source.bounds;
  return role === 'safety' ? [floor, ceiling] : [1 - ceiling, 1 - floor];
}
