/**
 * Which token a server means that names tokens by their texts. Only a byte-level vocabulary says it
 * at all: in others the text of a token depends on where it is.
 */
import type { BundleHead } from '../model/load-bundle.ts';
import type { IdOfText } from './openai-logprobs.ts';

/** How OpenAI writes a token that is not whole characters. */
const BYTES = /^bytes:((?:\\x[0-9a-f]{2})+)$/i;

/** Nothing is looked at before the first text is asked for. */
export function tokenTexts({ config, tokenizer }: Pick<BundleHead, 'config' | 'tokenizer'>): IdOfText {
  let ids: Map<string, number | undefined> | null = null;
  const read = () => {
    const found = new Map<string, number | undefined>();
    const add = (bytes: Uint8Array, id: number) => {
      const key = keyOf(bytes);
      found.set(key, found.has(key) ? undefined : id);
    };
    if (tokenizer.dropsFirstSpace) return found;
    for (let id = 0; id < config.vocab_size; id++) {
      const bytes = tokenizer.bytesOf(id);
      if (bytes !== undefined) add(bytes, id);
    }
    for (const [content, id] of tokenizer.specials) add(Buffer.from(content), id);
    return found;
  };
  return (text) => {
    ids ??= read();
    const [, escaped] = BYTES.exec(text) ?? [];
    return ids.get(
      keyOf(escaped === undefined ? Buffer.from(text) : Buffer.from(escaped.replaceAll('\\x', ''), 'hex')),
    );
  };
}

const keyOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
