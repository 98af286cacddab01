/**
 * Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key (Salmon,
 * Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). It runs ten
 * rounds of two 32 x 32 -> 64 bit multiplications. PyTorch and TensorFlow use it on GPUs, so a gate
 * inside a graph can draw the same numbers. The test checks it against the known answers of the
 * reference implementation.
 */
export type Words2 = readonly [number, number];
export type Words4 = readonly [number, number, number, number];

const MULTIPLIERS: Words2 = [0xd2511f53, 0xcd9e8d57];
// Each round adds these to the key: the golden ratio and sqrt(3) - 1, as fractions of 2^32.
const KEY_STEPS: Words2 = [0x9e3779b9, 0xbb67ae85];
const ROUNDS = 10;

/** Four unsigned 32-bit words from a counter of four and a key of two. */
export function philox(counter: Words4, key: Words2): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIERS[0], c0);
    const high1 = multiplyHigh(MULTIPLIERS[1], c2);
    const low0 = Math.imul(MULTIPLIERS[0], c0);
    const low1 = Math.imul(MULTIPLIERS[1], c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1 >>> 0, (high0 ^ c3 ^ k1) >>> 0, low0 >>> 0];
    k0 = (k0 + KEY_STEPS[0]) >>> 0;
    k1 = (k1 + KEY_STEPS[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/**
 * The upper half of a 64-bit product, from 16-bit halves. No product or sum of those exceeds 32
 * bits.
 */
function multiplyHigh(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + (middle >>> 16) + (carry >>> 16);
}
