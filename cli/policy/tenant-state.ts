/** Which versions of a tenant's policy decide, in one line. */
import type { TenantAnswer } from '#workers/control/admin-answers.ts';

export function stateOf({
  id,
  policy_version,
  canary,
  revision,
}: Pick<TenantAnswer, 'id' | 'policy_version' | 'canary' | 'revision'>): string {
  const instead = canary === null ? '' : `, and ${canary.version} for ${percent(canary.share)} of the prompts`;
  return `${id}: ${policy_version} is active${instead} (revision ${revision})`;
}

const percent = (share: number) => `${Number((share * 100).toFixed(3))}%`;
