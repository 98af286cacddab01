import type { Config } from './config.ts';

/** The cast: only workerd has this method, so the types of other runtimes lack it. */
const subtle = crypto.subtle as typeof crypto.subtle & { timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean };

/** Whether this is the digest of the operator's key. Compared in constant time. */
export function isOperatorKey(digest: string, { operatorKeySha256 }: Pick<Config, 'operatorKeySha256'>): boolean {
  const encoder = new TextEncoder();
  return subtle.timingSafeEqual(encoder.encode(digest), encoder.encode(operatorKeySha256));
}
