/**
 * The keys for MACs of frames, one for each directive secret. An edge checks frames with the key of
 * the secret that it signs directives with. So an answer has the key of its directive, also while a
 * deployment changes its secret.
 */
import type { CryptoKey } from 'jose';
import { deriveFrameKey } from '#shared/protocol/frame-mac.ts';
import { importFrameKey } from '#shared/protocol/resume.ts';

export type FrameKeys = {
  /** What MACs are made with. */
  make: Uint8Array<ArrayBuffer>;
  /** The same key, for checking them. */
  check: CryptoKey;
};

/**
 * Derives them all now.
 *
 * @returns the keys of the directive key that is given, which must be one of these
 */
export function frameKeys(directiveKeys: readonly Uint8Array[]): (directiveKey: Uint8Array) => Promise<FrameKeys> {
  const known = new Map(directiveKeys.map((key) => [key, derive(key)]));
  return (directiveKey) => known.get(directiveKey) ?? derive(directiveKey);
}

async function derive(directiveKey: Uint8Array): Promise<FrameKeys> {
  const make = await deriveFrameKey(directiveKey);
  return { make, check: await importFrameKey(make) };
}
