/**
 * Turns a text into a set of buckets. The features of a normalised text are its words, pairs of
 * words (neighbours, and words with one word between them), the first word and the first pair once
 * more as features of their own, and character 3-5-grams. Each is hashed to `bits` bits (the
 * hashing trick, Weinberger et al., arXiv 0902.2206). Character n-grams stay within a word and its
 * two borders. Pairs tell "kill the lights" from "kill the man", and first words tell a question
 * from an order. A feature is present or not: counting repetitions would let one pasted word drown
 * out the rest.
 */

/**
 * The limit for one text, about 1,000 English words. Longer texts are cut before they come here
 * (readings.ts).
 */
export const MAX_CHARS = 6000;

const MIN_GRAM = 3;
const MAX_GRAM = 5;

/**
 * The most features that this many characters can have. Each position of a padded text has a
 * character n-gram of each length. A one-letter word with its space adds three features of words,
 * and the first word adds two more.
 */
function featuresOfChars(chars: number, { texts }: { texts: number }): number {
  return (chars + 2 * texts) * (MAX_GRAM - MIN_GRAM + 3);
}
export const MAX_FEATURES = featuresOfChars(MAX_CHARS, { texts: 1 });

// FNV-1a's numbers. Different start values tell a word from a character n-gram of the same letters.
const FNV_PRIME = 0x01000193;
const WORD_START = 0x811c9dc5;
const GRAM_START = 0x2f0b4c47;
const SPACE = 0x20;
const LINE_END = 0x0a;
const FIRST = 0x5bd1e995;
const NEIGHBOURS = 31;
const ONE_BETWEEN = 8191;

/**
 * The buckets of a normalised text of at most `MAX_CHARS` characters, each once. The array belongs
 * to the featurizer and is valid until its next call.
 */
export type Featurizer = (text: string) => Uint32Array;

/** `createFeaturizer(16)('how do i bake bread?')` */
export function createFeaturizer(bits: number): Featurizer {
  const shift = 32 - bits;
  const seenIn = new Uint32Array(2 ** bits);
  const buckets = new Uint32Array(MAX_FEATURES);
  const codes = new Uint16Array(MAX_CHARS + 2);
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
    if (text.length > MAX_CHARS)
      throw new RangeError(`features of ${text.length} characters, at most ${MAX_CHARS} are read`);
    const length = padInto(codes, text);
    let word = WORD_START;
    let previous = 0;
    let beforeIt = 0;
    for (let i = 0; i < length; i++) {
      const code = codes[i]!;
      if (isWordCode(code)) {
        word = Math.imul(word ^ code, FNV_PRIME);
      } else if (word !== WORD_START) {
        add(word);
        if (previous === 0) add(word ^ FIRST);
        else {
          const pair = Math.imul(previous, NEIGHBOURS) ^ word;
          add(pair);
          if (beforeIt === 0) add(pair ^ FIRST);
          else add(Math.imul(beforeIt, ONE_BETWEEN) ^ word);
        }
        beforeIt = previous;
        previous = word;
        word = WORD_START;
      }
      let gram = Math.imul(GRAM_START ^ code, FNV_PRIME);
      const end = Math.min(length, i + MAX_GRAM);
      for (let at = i + 1; at < end; at++) {
        const next = codes[at]!;
        gram = Math.imul(gram ^ next, FNV_PRIME);
        if (at - i >= MIN_GRAM - 1) add(gram + at - i + 1);
        if (next === SPACE) break;
      }
    }
    return buckets.subarray(0, count);
  };
}

/**
 * Writes the text's character codes between two spaces, with line ends as spaces, and returns how
 * many there are. We write them out because each code is looked at several times.
 */
function padInto(codes: Uint16Array, text: string): number {
  codes[0] = SPACE;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    codes[i + 1] = code === LINE_END ? SPACE : code;
  }
  codes[text.length + 1] = SPACE;
  return text.length + 2;
}

/**
 * Whether a code belongs to a word: ASCII letters and digits, the apostrophe, and the letters of
 * other scripts, which are all codes beyond Latin-1's punctuation and outside the general
 * punctuation.
 */
function isWordCode(code: number): boolean {
  if (code >= 0xc0) return code < 0x2000 || code > 0x206f;
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x27;
}

/** Murmur3's last step: every bit of the input changes every bit of the bucket. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
