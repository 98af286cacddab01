import { PlimsollError } from './errors.ts';

/**
 * The same words wherever a prompt is measured, whether by a bound before it is tokenized or by its
 * tokens.
 */
export function contextLengthExceeded(found: number, limit: number, { atLeast = false } = {}): PlimsollError {
  const count = `${atLeast ? 'at least ' : ''}${found}`;
  return new PlimsollError(
    'context_length_exceeded',
    `This model's maximum context length is ${limit} tokens. Your messages have ${count} tokens, which leaves no room for an answer.`,
    { param: 'messages' },
  );
}

/** The UTF-8 bytes of all texts together. */
export function utf8Bytes(texts: Iterable<string>): number {
  let bytes = 0;
  for (const text of texts) bytes += new TextEncoder().encode(text).byteLength;
  return bytes;
}

/**
 * The fewest tokens that a text of so many bytes can have. So a prompt that cannot fit is refused
 * without being read.
 *
 * @param maxTokenBytes UTF-8 bytes of the model's longest token
 */
export function fewestTokens(bytes: number, maxTokenBytes: number): number {
  return Math.ceil(bytes / maxTokenBytes);
}
