/**
 * A prompt as a set of buckets: word 1-2-grams and character 3-5-grams of the normalised text, each hashed to `bits`
 * bits (the hashing trick, Weinberger et al., arXiv 0902.2206). Character n-grams stay within a word and its two borders.
 * A feature is present or not; counting repetitions would let a pasted word shout. Whatever the length, no more than
 * `MAX_FEATURES` come out.
 */
import { capText } from './cap-text.ts';
import { normalize } from './normalize.ts';

/** About 1,000 English words. The raw text is cut before normalising too: NFKC may make 18 characters of one. */
export const MAX_CHARS = 6000;
const MAX_RAW_CHARS = 2 * MAX_CHARS;

const MIN_GRAM = 3;
const MAX_GRAM = 5;
/** One character n-gram of each length per position of the padded text, and two word grams per word of one letter and a space. */
export const MAX_FEATURES = (MAX_CHARS + 2) * (MAX_GRAM - MIN_GRAM + 1) + MAX_CHARS + 2;

// FNV-1a's numbers; different starts keep a word and the same letters as a character n-gram apart.
const FNV_PRIME = 0x01000193;
const WORD_START = 0x811c9dc5;
const GRAM_START = 0x2f0b4c47;
const SPACE = 0x20;

/** The buckets of a text, each once. The array belongs to the featurizer and lasts until its next call. */
export type Featurizer = (text: string) => Uint32Array;

/** `createFeaturizer(16)('How do I bake bread?')` */
export function createFeaturizer(bits: number): Featurizer {
  const shift = 32 - bits;
  const seenIn = new Uint32Array(2 ** bits);
  const buckets = new Uint32Array(MAX_FEATURES);
  let call = 0;
  let count = 0;

  const add = (hash: number) => {
    const bucket = mix(hash) >>> shift;
    if (seenIn[bucket] === call) return;
    seenIn[bucket] = call;
    buckets[count++] = bucket;
  };

  return (text) => {
    call = (call + 1) >>> 0;
    count = 0;
    const padded = ` ${capText(normalize(capText(text, MAX_RAW_CHARS)), MAX_CHARS)} `;
    let word = WORD_START;
    let previous = 0;
    for (let i = 0; i < padded.length; i++) {
      const code = padded.charCodeAt(i);
      if (isWordCode(code)) {
        word = Math.imul(word ^ code, FNV_PRIME);
      } else if (word !== WORD_START) {
        add(word);
        if (previous !== 0) add(Math.imul(previous, 31) ^ word);
        previous = word;
        word = WORD_START;
      }
      let gram = GRAM_START;
      for (let n = 1; n <= MAX_GRAM && i + n <= padded.length; n++) {
        const next = padded.charCodeAt(i + n - 1);
        gram = Math.imul(gram ^ next, FNV_PRIME);
        if (n >= MIN_GRAM) add(gram + n);
        if (n > 1 && next === SPACE) break;
      }
    }
    return buckets.subarray(0, count);
  };
}

/** ASCII letters and digits, the apostrophe, and all beyond Latin-1's and the general punctuation: other scripts' letters. */
function isWordCode(code: number): boolean {
  if (code >= 0xc0) return code < 0x2000 || code > 0x206f;
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x27;
}

/** Murmur3's last step: every bit of the input moves every bit of the bucket. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
