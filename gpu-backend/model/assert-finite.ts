import { CheckpointError } from './checkpoint-error.ts';

/** The bits of the exponent, which are all set in an infinity or a NaN and in no other number. */
const EXPONENT = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 } as const;

/** Throws if one of the numbers is infinite or NaN. `bytes` must be aligned to its numbers. */
export function assertFinite(
  bytes: Uint8Array,
  dtype: keyof typeof EXPONENT,
  { file, key }: { file: string; key: string },
): void {
  const { buffer, byteOffset, byteLength } = bytes;
  // Signed, because most of the unsigned ones are no small integers, on which the loop is fast.
  const words =
    dtype === 'F32'
      ? new Int32Array(buffer, byteOffset, byteLength / 4)
      : new Int16Array(buffer, byteOffset, byteLength / 2);
  const exponent = EXPONENT[dtype];
  for (let i = 0; i < words.length; i++) {
    if ((words[i]! & exponent) !== exponent) continue;
    const found = `an infinity or NaN at element ${i}`;
    throw new CheckpointError(file, { key, found, wanted: 'finite numbers' });
  }
}
