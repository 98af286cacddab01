/** 2^TABLE_BITS entries. kernel.as has the same number in its constants. */
const TABLE_BITS = 11;
/** Bits after the point, far more than a double has. */
const SCALE = 200n;

/**
 * AssemblyScript for the kernel's table of powers: the bits of 2^(i/2048), rounded correctly, less
 * i << 41. So n << 41, added to the entry of the lowest eleven bits of n, gives the bits of
 * 2^(n/2048).
 */
export function tableOfPowers(): string {
  let step = 2n << SCALE;
  for (let i = 0; i < TABLE_BITS; i++) step = squareRoot(step << SCALE);
  const entries: string[] = [];
  let power = 1n << SCALE;
  for (let i = 0n; i < 1n << BigInt(TABLE_BITS); i++) {
    const mantissa = ((power >> (SCALE - 53n)) + 1n) >> 1n;
    const bits = mantissa - (1n << 52n) + (1023n << 52n) - (i << BigInt(52 - TABLE_BITS));
    entries.push(`0x${bits.toString(16)}`);
    power = (power * step) >> SCALE;
  }
  return `export const POWERS: usize = memory.data<u64>([${entries.join(', ')}], 16);\n`;
}

/** The largest whole number whose square is at most x, by Newton's method from above. */
function squareRoot(x: bigint): bigint {
  let root = 1n << BigInt((x.toString(2).length >> 1) + 1);
  for (;;) {
    const next = (root + x / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
