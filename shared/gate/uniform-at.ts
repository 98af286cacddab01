/**
 * The random number of one position of one answer: u = hash(seed, position), uniform over the multiples of 2^-53 in
 * [0, 1). There is no generator to carry along and none to fall out of step: token n + 1 drawn on another backend, or
 * after a retry, gets the number that it would have got here.
 *
 *     uniformAt(42, 0); // 0.6129598801477738, on every machine
 *
 * @param seed any safe integer or string
 * @param position the token's place in the answer, from 0
 */
import { philox, type Words2 } from './philox.ts';

const TWO_32 = 2 ** 32;
// The third counter word says what the call is for, so that no two uses can meet on one counter and key.
const DRAW = 0;
const ABSORB = 1;

export function uniformAt(seed: number | string, position: number): number {
  const [high, low] = philox([position >>> 0, Math.floor(position / TWO_32), DRAW, 0], keyOf(seed));
  // 27 + 26 bits: as many as a double holds below 1.
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

/** 64 bits of key: an integer's two's complement, or a string absorbed character by character. */
function keyOf(seed: number | string): Words2 {
  if (typeof seed === 'number') return [seed >>> 0, Math.floor(seed / TWO_32) >>> 0];
  // Starts from its length, so that no string is the beginning of another.
  let key: Words2 = [seed.length, 0x73747200];
  for (let i = 0; i < seed.length; i++) {
    const [first, second] = philox([seed.charCodeAt(i), i, ABSORB, 0], key);
    key = [first, second];
  }
  return key;
}
