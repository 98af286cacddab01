import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { TextStream } from '#shared/text/text-stream.ts';

/** The text of a prompt's tokens. Special tokens have none. */
export function promptText(ids: readonly number[], { bytesOf, dropsFirstSpace = false }: Vocabulary): string {
  const stream = new TextStream(bytesOf);
  const text = ids.map((id) => stream.push(id)).join('');
  return dropsFirstSpace ? text.replace(/^ /, '') : text;
}
