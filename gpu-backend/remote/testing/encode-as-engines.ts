import type { BundleTokenizer } from '../../model/tokenizer.ts';
import type { Encode } from './engine-servers.ts';

/**
 * As the engines' tokenizers read a text: what is written like a control token is that token.
 *
 * @param idOf what a control token is there, by its content and its id in the bundle
 */
export function encodeAsEngines(
  tokenizer: BundleTokenizer,
  idOf = (_content: string, id: number): number => id,
): Encode {
  const longestFirst = [...tokenizer.controls.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(
    `(${longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|')})`,
  );
  return (text) =>
    text
      .split(pattern)
      .flatMap((part, i) =>
        i % 2 === 1 ? [idOf(part, tokenizer.controls.get(part)!)] : part === '' ? [] : tokenizer.encode(part),
      );
}
