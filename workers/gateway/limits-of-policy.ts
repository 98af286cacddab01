/** What a policy's `limits` mean for the tenant's account. */
import type { Policy } from '#policies/schema.ts';
import { type LimitName, type Limits, NO_LIMITS } from '../objects/tenant-account-contract.ts';

export function limitsOfPolicy({ limits }: Policy): Limits {
  // The cast: a policy names only some of these, and `max_tokens`, which is about one answer.
  const given = limits as Partial<Limits>;
  const names = Object.keys(NO_LIMITS) as LimitName[];
  // The cast: every name was just given.
  return Object.fromEntries(names.map((name) => [name, given[name] ?? null])) as Limits;
}
