import { expect, test } from 'vitest';
import type { BundleHead } from '../model/load-bundle.ts';
import { bundleVocabulary } from './bundle-vocabulary.ts';

type Config = Pick<BundleHead['config'], 'vocab_size' | 'eos_token_id'>;

function headOf(config: Config, bytesOf: (id: number) => Uint8Array | undefined): BundleHead {
  // The vocabulary reads only these parts of a bundle's head.
  return { config, tokenizer: { bytesOf } } as unknown as BundleHead;
}

test('an answer may contain tokens with text and the end token, but no other id', () => {
  // Ids 0 and 1 are special, 2 ends an answer, 3 and 4 have text. 5 and 6 only fill up the
  // embedding.
  const bytesOf = (id: number) => (id === 3 || id === 4 ? Uint8Array.of(id) : undefined);
  const head = headOf({ vocab_size: 7, eos_token_id: 2 }, bytesOf);
  const vocabulary = bundleVocabulary(head);
  expect(vocabulary.eos).toEqual([2]);
  expect(vocabulary.banned).toEqual([0, 1, 5, 6]);
  expect(vocabulary.bytesOf(4)).toEqual(Uint8Array.of(4));
});

test('an answer may end with any of several end tokens', () => {
  const bytesOf = (id: number) => (id === 3 ? Uint8Array.of(id) : undefined);
  const head = headOf({ vocab_size: 5, eos_token_id: [4, 2, 4] }, bytesOf);
  expect(bundleVocabulary(head)).toMatchObject({ eos: [4, 2], banned: [0, 1] });
});
