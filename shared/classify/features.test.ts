import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFeaturizer, MAX_CHARS, MAX_FEATURES } from './features.ts';
import { normalize } from './normalize.ts';
import { plainReading } from './readings.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';

const featurize = createFeaturizer(16);
const bucketsOf = (text: string) => [...featurize(plainReading(text))].sort((a, b) => a - b);

/** The same features, made slowly: n-grams as strings, 32-bit arithmetic in BigInt. */
function oracle(text: string): number[] {
  const imul = (a: bigint, b: bigint) => BigInt.asUintN(32, a * b);
  const fnv = (start: bigint, gram: string) =>
    [...gram.split('')].reduce((hash, c) => imul(hash ^ BigInt(c.charCodeAt(0)), 0x01000193n), start);
  const bucket = (hash: bigint) => {
    let h = BigInt.asUintN(32, hash);
    h = imul(h ^ (h >> 16n), 0x85ebca6bn);
    h = imul(h ^ (h >> 13n), 0xc2b2ae35n);
    return Number((h ^ (h >> 16n)) >> 16n);
  };
  const normal = normalize(text);
  const words = (normal.match(/[a-z0-9'\u00c0-\u1fff\u2070-\uffff]+/g) ?? []).map((word) => fnv(0x811c9dc5n, word));
  const pairs = words.slice(1).map((word, i) => imul(words[i]!, 31n) ^ word);
  const apart = words.slice(2).map((word, i) => imul(words[i]!, 8191n) ^ word);
  const first = [...words.slice(0, 1), ...pairs.slice(0, 1)].map((gram) => gram ^ 0x5bd1e995n);
  const grams = ` ${normal} `.split(' ').flatMap((chunk) => {
    if (chunk === '') return [];
    const padded = ` ${chunk} `;
    return [3, 4, 5].flatMap((n) =>
      Array.from(
        { length: Math.max(0, padded.length - n + 1) },
        (_, i) => fnv(0x2f0b4c47n, padded.slice(i, i + n)) + BigInt(n),
      ),
    );
  });
  return [...new Set([...words, ...pairs, ...apart, ...first, ...grams].map(bucket))].sort((a, b) => a - b);
}

// The shipped weights are rows of these buckets. If the hash changed, every row would silently be
// wrong.
test.each([
  ['', []],
  ['a', [6784, 50064, 58410]],
  [
    'Kill time',
    [
      3653, 6997, 7493, 7608, 7734, 7985, 9108, 15039, 19023, 20600, 27402, 30785, 32888, 33685, 36330, 36449, 39119,
      40838, 47469, 50885, 53035, 53493, 54416,
    ],
  ],
  [
    'Kill the time',
    [
      3653, 6997, 7493, 7608, 7985, 9108, 11695, 12451, 12612, 14280, 15039, 19023, 20600, 23359, 30785, 32888, 33685,
      36330, 36449, 39119, 40838, 40988, 41700, 47417, 47469, 48789, 50439, 50885, 53035, 53493, 54416, 63283,
    ],
  ],
  [
    'один два',
    [
      44, 422, 5050, 10156, 11847, 12128, 22531, 23562, 25232, 26383, 30305, 31145, 36618, 48728, 49927, 53683, 56355,
      56563, 57365, 63983,
    ],
  ],
])('hashes %j to the stored buckets', (text, expected) => {
  expect(bucketsOf(text)).toEqual(expected);
});

test('matches a slow and obvious version', () => {
  const word = fc.string({ unit: fc.constantFrom(...'abcxyz09äжβ한-.!'), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (words) => {
      expect(bucketsOf(words.join(' '))).toEqual(oracle(words.join(' ')));
    }),
  );
});

test('does not depend on the text before', () => {
  const first = bucketsOf('How do I bake bread?');
  featurize('something else entirely');
  expect(bucketsOf('How do I bake bread?')).toEqual(first);
});

describe('bounded work', () => {
  test.each(HARD_TEXTS)('gives no more than the promised features for a megabyte of %s', (_, text) => {
    expect(featurize(plainReading(text)).length).toBeLessThanOrEqual(MAX_FEATURES);
  });

  test('refuses a text that is too long', () => {
    expect(() => featurize('a'.repeat(MAX_CHARS + 1))).toThrow('6001 characters, at most 6000');
  });

  test('the buffer holds the worst text, with no bucket twice and a new n-gram at every position', () => {
    const wide = createFeaturizer(22);
    const letters = Array.from({ length: MAX_CHARS }, (_, i) => String.fromCharCode(0x4e00 + ((i * 7919) % 20_000)));
    for (const text of [letters.join(''), letters.join(' ').slice(0, MAX_CHARS)]) {
      expect(wide(text).length).toBeLessThanOrEqual(MAX_FEATURES);
      expect(wide(text).length).toBeGreaterThan(MAX_CHARS / 2);
    }
  });
});
