/** The sums of a simulation, as a terminal shows them. */
import { SUMS, type Summary } from '#policies/simulation/summary.ts';

export function pageOf({ prompts, before, after, differ, refusedOnlyBefore, refusedOnlyAfter }: Summary): string {
  const row = (name: string, a: string, b: string) => `${name.padEnd(22)}${a.padStart(12)}${b.padStart(12)}`;
  const rows = SUMS.filter(([field]) => before[field] !== null || after[field] !== null);
  return [
    row(`${prompts} prompts`, 'before', 'after'),
    ...rows.map(([field, name]) => row(name, shown(before[field]), shown(after[field]))),
    `${differ} answers differ`,
    ...listed('refused only before', refusedOnlyBefore),
    ...listed('refused only after', refusedOnlyAfter),
  ].join('\n');
}

const shown = (value: number | null) => (value === null ? '-' : String(Math.round(value * 1e3) / 1e3));

/** The file of results has them all. */
const MOST_LISTED = 20;

function listed(what: string, indices: readonly number[]): string[] {
  if (indices.length === 0) return [];
  const more = indices.length > MOST_LISTED ? ', ...' : '';
  return [
    `${what}: ${indices.length} (prompts ${indices
      .slice(0, MOST_LISTED)
      .map((i) => i + 1)
      .join(', ')}${more})`,
  ];
}
