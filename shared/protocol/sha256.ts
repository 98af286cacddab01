/** SHA-256 as lower-case hex, for digests of prompts, answers, keys and policies. */
export async function sha256Hex(bytes: Uint8Array | string): Promise<string> {
  const input = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
  // The cast drops SharedArrayBuffer from the type. digest() only reads.
  const hash = await crypto.subtle.digest('SHA-256', input as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
