/**
 * The random number for one position of one answer, uniform over the multiples of 2^-53 in [0, 1):
 *
 *     u = philox(counter [position low, position high, key[2], key[3]], key [key[0], key[1]])
 *
 * There is no generator to carry along or to fall out of step. Token n + 1 drawn on another
 * backend, or after a retry, gets the number it would have got here. Half of the key goes into the
 * counter, because Philox takes 64 bits of key and 128 of counter, and a position needs only 64. So
 * two keys that differ anywhere never share both counter and key.
 *
 * @param position the token's place in the answer, from 0
 */
import type { DrawKey } from './draw-key.ts';
import { philox } from './philox.ts';

const TWO_32 = 2 ** 32;

export function uniformAt([k0, k1, k2, k3]: DrawKey, position: number): number {
  const [high, low] = philox([position >>> 0, Math.floor(position / TWO_32), k2, k3], [k0, k1]);
  // 27 + 26 bits: as many as a double holds below 1.
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}
