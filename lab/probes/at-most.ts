import { hashToUnit } from '#training/data/random.ts';
import { isUnsafe } from '../classifier/targets.ts';
import type { ProbeRow } from './probe-rows.ts';

/**
 * For a try: at most so many prompts of each side of a source, in each part. A hash picks which.
 * null for all.
 */
export function atMost(rows: readonly ProbeRow[], most: number | null): readonly ProbeRow[] {
  if (most === null) return rows;
  const taken = new Map<string, number>();
  return rows
    .map((row) => ({ row, place: hashToUnit(`try/${row.example.text}`) }))
    .toSorted((a, b) => a.place - b.place)
    .filter(({ row: { part, example } }) => {
      const key = `${part}/${example.source}/${isUnsafe(example)}`;
      const count = (taken.get(key) ?? 0) + 1;
      taken.set(key, count);
      return count <= most;
    })
    .map(({ row }) => row);
}
