/** The policy that decides: all levels joined. Answers and receipts name its version. */
import type { Policy } from './schema.ts';
import { tightenAll } from './tighten.ts';
import { canonicalPolicy, policyVersion, type StoredPolicy } from './version.ts';

/**
 * Joins the operator's policy with a stored one. The version is that of the join, because the
 * operator's document can change while the stored one stays the same. If the stored policy is
 * missing or broken, the version says that the strictest policy stands in for it.
 */
export async function effectivePolicy(
  operator: Policy,
  stored: StoredPolicy,
): Promise<{ policy: Policy; version: string }> {
  const policy = tightenAll([operator, stored.policy]);
  const content = await policyVersion(canonicalPolicy(policy));
  return { policy, version: stored.problem === null ? content : `${stored.version}-${content}` };
}
