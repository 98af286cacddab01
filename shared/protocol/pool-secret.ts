/**
 * The helpfulness pool's own secret, which stands in the place of the deployment's directive secret
 * on that pool's backends. Made from the deployment's by HMAC, it gives nothing else away: whoever
 * has it can neither ask anything of a backend outside that pool, nor speak for one.
 * Together with no draw secret, this is what keeps the pool from knowing a draw.
 *
 *     helpfulness. + hex(HMAC-SHA-256(directive secret, "plimsoll-pool/1 helpfulness"))
 *
 * It is text that a shell can make (docs/edge-mixing.md).
 */
import { derivedKey } from './derived-key.ts';
import { directiveKey } from './directive.ts';

const PREFIX = 'helpfulness.';

/** @param key the deployment's directive secret, as bytes */
export async function helpfulnessSecret(key: Uint8Array): Promise<string> {
  const mac = await derivedKey('plimsoll-pool/1 helpfulness', key);
  return PREFIX + Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The same as a key. */
export async function helpfulnessKey(key: Uint8Array): Promise<Uint8Array> {
  return directiveKey(await helpfulnessSecret(key));
}

export const isHelpfulnessSecret = (secret: string): boolean => secret.startsWith(PREFIX);
