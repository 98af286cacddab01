/** Which of a tenant's policies decides about a request: the active one, or the canary. */
import { inCanary } from '#policies/canary.ts';
import type { ChatRequest } from '#shared/api/chat-request.ts';
import { derivedKey } from '#shared/protocol/derived-key.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { promptDigest } from './prompt-digest.ts';
import type { Caller } from './tenant-directory.ts';

/**
 * Returns the caller under the policy that decides. The same prompt always gets the same one, as
 * long as neither the canary's share nor the secret changes. Capitals and spaces make no other
 * prompt, and nobody without the secret can tell where a prompt belongs. So a client can find a
 * prompt under the looser of two policies only by asking.
 */
export async function chooseStanding(
  caller: Caller,
  messages: ChatRequest['messages'],
  secret: Uint8Array,
): Promise<Caller> {
  const { canary } = caller;
  if (canary === null) return caller;
  // The version is part of the hash, so that the next canary is tried on other requests.
  const prompt = await promptDigest(messages);
  const label = JSON.stringify(['plimsoll canary', caller.tenant, canary.version, prompt]);
  const hash = await sha256Hex(await derivedKey(label, secret));
  return inCanary(hash, canary.share) ? { ...caller, ...canary, canary: null } : caller;
}
