/**
 * The vocabulary of a BPE with byte fallback, as SentencePiece makes it: `▁` stands for a space,
 * `<0x0A>` for one byte of a character that has no token, and all else for itself.
 */
const BYTE_TOKEN = /^<0x([0-9A-F]{2})>$/;

/** The bytes that a vocabulary entry stands for. */
export function fallbackTokenBytes(token: string): Uint8Array {
  const byte = BYTE_TOKEN.exec(token)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return new TextEncoder().encode(token.replaceAll('▁', ' '));
}

/** The byte that the token `<0x0A>` stands for, or undefined for another token. */
export function fallbackByte(token: string): number | undefined {
  const byte = BYTE_TOKEN.exec(token)?.[1];
  return byte === undefined ? undefined : Number.parseInt(byte, 16);
}
