import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { eosIds } from '../model/config.ts';
import type { BundleHead } from '../model/load-bundle.ts';

/**
 * Answers consist of plain tokens and end with an eos token. Other special tokens, and rows that
 * only pad the embedding, are banned. The vocabulary holds copies of what it needs, so that the
 * tokenizer, which is many times as large, need not stay in the engine's thread.
 */
export function bundleVocabulary({ config, tokenizer }: Pick<BundleHead, 'config' | 'tokenizer'>): Vocabulary {
  const eos = eosIds(config);
  const tokens = Array.from({ length: config.vocab_size }, (_, id) => tokenizer.bytesOf(id));
  return {
    eos,
    banned: [...tokens.keys()].filter((id) => !eos.includes(id) && tokens[id] === undefined),
    bytesOf: packed(tokens),
    dropsFirstSpace: tokenizer.dropsFirstSpace,
  };
}

/**
 * The bytes of all tokens in one array: fifty thousand small arrays would take ten times as much.
 */
function packed(tokens: readonly (Uint8Array | undefined)[]): Vocabulary['bytesOf'] {
  const starts = new Uint32Array(tokens.length + 1);
  for (const [id, bytes] of tokens.entries()) starts[id + 1] = starts[id]! + (bytes?.byteLength ?? 0);
  const all = new Uint8Array(starts.at(-1)!);
  const missing = new Set<number>();
  for (const [id, bytes] of tokens.entries()) {
    if (bytes === undefined) missing.add(id);
    else all.set(bytes, starts[id]);
  }
  const isToken = (id: number) => id >= 0 && id < starts.length - 1 && !missing.has(id);
  return (id) => (isToken(id) ? all.slice(starts[id], starts[id + 1]) : undefined);
}
