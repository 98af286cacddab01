import { PlimsollError } from './errors.ts';

/**
 * The error for a prompt that is too long. Its wording is the same whether the tokens were counted
 * or we only have a lower bound before tokenizing.
 *
 * @param found the client's tokens
 * @param ownPrompt how many tokens an expert's own system prompt adds to them
 */
export function contextLengthExceeded(
  found: number,
  limit: number,
  { atLeast = false, ownPrompt = 0 } = {},
): PlimsollError {
  const count = `${atLeast ? 'at least ' : ''}${found}`;
  const own = ownPrompt > 0 ? ` The model's own system prompt takes ${ownPrompt} of them.` : '';
  return new PlimsollError(
    'context_length_exceeded',
    `This model's maximum context length is ${limit} tokens.${own} Your messages have ${count} tokens, which leaves no room for an answer.`,
    { param: 'messages' },
  );
}

/** The number of UTF-8 bytes in all texts together. */
export function utf8Bytes(texts: Iterable<string>): number {
  let bytes = 0;
  for (const text of texts) bytes += new TextEncoder().encode(text).byteLength;
  return bytes;
}

/**
 * The fewest tokens that a text of this many bytes can have. With it, a prompt that cannot fit is
 * refused without being tokenized.
 *
 * @param maxTokenBytes UTF-8 bytes of the model's longest token
 */
export function fewestTokens(bytes: number, maxTokenBytes: number): number {
  return Math.ceil(bytes / maxTokenBytes);
}
