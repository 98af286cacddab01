/**
 * A key for one purpose, made from a secret that has another: HMAC-SHA-256 of the purpose's label
 * under the secret. Whoever has one derived key learns neither the secret nor the other keys.
 *
 * @returns 32 bytes
 */
export async function derivedKey(label: string, secret: Uint8Array): Promise<Uint8Array> {
  // The cast drops SharedArrayBuffer from the type. Web Crypto only reads.
  const raw = secret as Uint8Array<ArrayBuffer>;
  const key = await crypto.subtle.importKey('raw', raw, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(label)));
}
