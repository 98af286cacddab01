import type { CryptoKey } from 'jose';
import { deriveFrameKey } from '#shared/protocol/frame-mac.ts';
import { importFrameKey } from '#shared/protocol/resume.ts';

const known = new WeakMap<Uint8Array, CryptoKey>();

/** The key that frames are checked with. It is derived once for each value of the directive key. */
export async function frameKeyOf(directiveKey: Uint8Array): Promise<CryptoKey> {
  // We keep the key and not its promise, because no request may wait for another one's.
  const key = known.get(directiveKey) ?? (await importFrameKey(await deriveFrameKey(directiveKey)));
  known.set(directiveKey, key);
  return key;
}
