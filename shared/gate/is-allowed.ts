/**
 * Whether the bits of `SamplingParams.allowed` hold a token. A token beyond the last word is not
 * allowed: a mask that is too short must not open what it does not name.
 */
export function isAllowed(allowed: Uint32Array, token: number): boolean {
  return (((allowed[token >>> 5] ?? 0) >>> (token & 31)) & 1) === 1;
}
