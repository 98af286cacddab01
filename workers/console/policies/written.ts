/** A policy as people write it: without the fields that say nothing. */
import { Policy } from '#policies/schema.ts';

/** Its two fields without a default. */
const LEAST = { floor: 0, budget: null };

export function written(policy: Policy): string {
  const defaults: Record<string, unknown> = Policy.parse(LEAST);
  const kept: [string, unknown][] = Object.entries(policy).filter(
    ([name, value]) => name in LEAST || JSON.stringify(value) !== JSON.stringify(defaults[name]),
  );
  const set = Object.entries(policy.limits).filter(([, limit]) => limit !== null);
  const document = Object.fromEntries(kept);
  if ('limits' in document) document.limits = Object.fromEntries(set);
  return `${JSON.stringify(document, null, 2)}\n`;
}
