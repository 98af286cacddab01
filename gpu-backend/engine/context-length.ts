import { PlimsollError } from '#shared/api/errors.ts';

/** The same words wherever a prompt is measured: by a bound before it is tokenized, or by its tokens. */
export function contextLengthExceeded(found: number, limit: number, { atLeast = false } = {}): PlimsollError {
  const count = `${atLeast ? 'at least ' : ''}${found}`;
  return new PlimsollError(
    'context_length_exceeded',
    `This model's maximum context length is ${limit} tokens. Your messages have ${count} tokens, which leaves no room for an answer.`,
    { param: 'messages' },
  );
}
