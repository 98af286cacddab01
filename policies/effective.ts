/** The policy that decides: all levels joined. Its version is what answers and receipts name. */
import type { Policy } from './schema.ts';
import { tightenAll } from './tighten.ts';
import { canonicalPolicy, policyVersion, type StoredPolicy } from './version.ts';

/**
 * The operator's policy joined with a stored one. Its version is of the join, because the operator's document can change while
 * the stored one stays. A stored policy that is missing or broken has no content to be named after: its version says so.
 */
export async function effectivePolicy(
  operator: Policy,
  stored: StoredPolicy,
): Promise<{ policy: Policy; version: string }> {
  const policy = tightenAll([operator, stored.policy]);
  const version = stored.problem === null ? await policyVersion(canonicalPolicy(policy)) : stored.version;
  return { policy, version };
}
