/**
 * The key of one answer's random numbers: 128 bits, as four unsigned 32-bit words. Plain data that
 * survives JSON, so another backend can carry on with the same numbers.
 *
 * A server makes the key from a secret and from everything that shapes the answer. The budget's
 * promise is about draws that nobody can choose. A client that can compute the numbers beforehand
 * can try inputs until they draw what it wants.
 */
import { GateError } from './gate-error.ts';
import { philox, type Words2 } from './philox.ts';

export type DrawKey = readonly [number, number, number, number];

const TWO_32 = 2 ** 32;

/**
 * The third counter word while a string seed is absorbed into a key. A draw has the third word of
 * its key there, which is 0 in every seed's key. So absorbing a string never shares both counter
 * and key with a draw from a seed. A secret key may have a 1 there, which does not matter: only
 * seeds are absorbed as strings, and the result becomes a public key, never a draw.
 */
const ABSORB = 1;

/**
 * A key that anybody can compute from a seed. It is for studies, benches and tests, and NEVER for
 * serving. With it, a client can search offline for a seed that is certain to draw a rare answer.
 * The search takes seconds, and the account of what was spent shows nothing.
 *
 *     uniformAt(seedKey(42), 0); // 0.6129598801477738, on every machine
 *
 * @param seed any safe integer (its two's complement is the key) or string (absorbed character by
 *   character)
 */
export function seedKey(seed: number | string): DrawKey {
  if (typeof seed === 'string') return [...absorb(seed), 0, 0];
  if (!Number.isSafeInteger(seed)) throw new GateError('sampling_invalid', `no key comes of the seed ${seed}`);
  return [seed >>> 0, Math.floor(seed / TWO_32) >>> 0, 0, 0];
}

/**
 * Whether a value is a key. We check every word, because a NaN in place of a word would count as 0.
 */
export function isDrawKey(key: unknown): key is DrawKey {
  return Array.isArray(key) && key.length === 4 && key.every(isWord);
}

const isWord = (x: unknown): boolean => typeof x === 'number' && x >>> 0 === x;

function absorb(text: string): Words2 {
  // We start from the length, so that no string is treated as the beginning of another.
  let key: Words2 = [text.length, 0x73747200];
  for (let i = 0; i < text.length; i++) {
    const [first, second] = philox([text.charCodeAt(i), i, ABSORB, 0], key);
    key = [first, second];
  }
  return key;
}
