/** A policy as a flat table: the JSON of each field that bounds something, by its path. */
import type { Policy } from './schema.ts';

/** Fields in which there is nothing that bounds. */
const WITHOUT_BOUNDS = ['description', 'refusal', 'shadow', 'tests'];

/** As in `categories.violence.ramp.from` -> `0.5`. A list is one value. */
export function leavesOf(policy: Policy): Map<string, string> {
  const leaves = new Map<string, string>();
  const walk = (value: unknown, path: readonly string[]) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      leaves.set(path.join('.'), JSON.stringify(value));
      return;
    }
    for (const [key, each] of Object.entries(value)) {
      if (!WITHOUT_BOUNDS.includes(key)) walk(each, [...path, key]);
    }
  };
  walk(policy, []);
  return leaves;
}
