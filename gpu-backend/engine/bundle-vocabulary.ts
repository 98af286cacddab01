import { eosIds } from '../model/config.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import type { Vocabulary } from './vocabulary.ts';

/**
 * Answers consist of plain tokens and end with an eos token. Other special tokens, and rows that
 * only pad the embedding, are banned.
 */
export function bundleVocabulary({ config, tokenizer }: BundleHead): Vocabulary {
  const eos = eosIds(config);
  const ids = Array.from({ length: config.vocab_size }, (_, id) => id);
  return {
    eos,
    banned: ids.filter((id) => !eos.includes(id) && tokenizer.bytesOf(id) === undefined),
    bytesOf: (id) => tokenizer.bytesOf(id),
    dropsFirstSpace: tokenizer.dropsFirstSpace,
  };
}
