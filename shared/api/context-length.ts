import { PlimsollError } from './errors.ts';

/**
 * The error for a prompt that is too long. Its wording is the same whether the tokens were counted
 * or we only have a lower bound before tokenizing.
 */
export function contextLengthExceeded(found: number, limit: number, { atLeast = false } = {}): PlimsollError {
  const count = `${atLeast ? 'at least ' : ''}${found}`;
  return new PlimsollError(
    'context_length_exceeded',
    `This model's maximum context length is ${limit} tokens. Your messages have ${count} tokens, which leaves no room for an answer.`,
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
