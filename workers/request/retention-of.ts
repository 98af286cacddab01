/** What may be kept of a caller's traffic. */
import type { Retention } from '#policies/retention.ts';
import { joinRetention } from '#policies/tighten.ts';
import type { Caller } from './tenant-directory.ts';

/** Which side of a canary a request is on does not matter: both have to allow it. */
export function retentionOf({ policy, canary }: Pick<Caller, 'policy' | 'canary'>): Retention {
  return canary === null ? policy.retention : joinRetention(policy.retention, canary.policy.retention);
}
