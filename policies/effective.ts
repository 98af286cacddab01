/** The policy that decides: all levels joined. Its version is what answers and receipts name. */
import type { Policy } from './schema.ts';
import { tightenAll } from './tighten.ts';
import { canonicalPolicy, policyVersion, type StoredPolicy } from './version.ts';

/**
 * The operator's policy joined with a stored one. Its version is of the join, because the operator's document can change while
 * the stored one stays. Where the stored policy is missing or broken, the version says that the strictest stands in for it.
 */
export async function effectivePolicy(
  operator: Policy,
  stored: StoredPolicy,
): Promise<{ policy: Policy; version: string }> {
  const policy = tightenAll([operator, stored.policy]);
  const content = await policyVersion(canonicalPolicy(policy));
  return { policy, version: stored.problem === null ? content : `${stored.version}-${content}` };
}
