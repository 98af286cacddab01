import { expect, test } from 'vitest';
import { encodePairs } from '#training/data/encode-pairs.ts';
import type { Preference } from '#training/data/rows.ts';
import { bucketPairs } from '#training/stages/pair-set.ts';
import { LETTERS } from '#training/testing/letter-tokenizer.ts';
import { paddedTokens } from './choose-pairs.ts';

test.each([1, 3, 16])('a pair costs what its bucket is padded to, at %i pairs a batch', (pairsPerBatch) => {
  for (const length of [1, 20, 27, 28, 29, 100]) {
    const preference: Preference = {
      prompt: [{ role: 'user', content: 'p' }],
      responses: ['a'.repeat(length), 'b'],
      better: 0,
      safer: null,
      source: 'x',
    };
    const { pairs } = encodePairs([preference], LETTERS, { dimension: 'better' });
    const { buckets } = bucketPairs(pairs, { contextLength: 512, pairsPerBatch, feeds: 'whole' });
    expect(paddedTokens(pairs[0]!, pairsPerBatch)).toBe(2 * buckets[0]!.length);
  }
});
