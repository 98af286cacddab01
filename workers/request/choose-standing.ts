/** Which of a tenant's policies decides about a request: the active one, or the canary. */
import { inCanary } from '#policies/canary.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Caller } from './tenant-directory.ts';

/**
 * Returns the caller under the policy that decides. The same content always gets the same one, as
 * long as the canary's share does not change.
 */
export async function chooseStanding(caller: Caller, content: unknown): Promise<Caller> {
  const { canary } = caller;
  if (canary === null) return caller;
  // The version is part of the hash, so that the next canary is tried on other requests.
  const hash = await sha256Hex(JSON.stringify([caller.tenant, canary.version, content]));
  return inCanary(hash, canary.share) ? { ...caller, ...canary, canary: null } : caller;
}
