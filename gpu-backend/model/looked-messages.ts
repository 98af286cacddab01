/**
 * What the second look reads of a prompt: the tokens of each message that a user wrote. System
 * messages are the tenant's own, and the assistant's turns were decoded under the tenant's line. A
 * message's last token has attended to all of them, so nothing before it goes unnoticed.
 */
import type { Message } from '#shared/protocol/generate.ts';
import type { MessageSpan } from './message-spans.ts';

/** A stretch of a row's tokens: from one to before another. */
export type Span = { from: number; to: number };

export type LookedMessage = Span & {
  /**
   * The token by which the message has been read: the last one before the next message's text, or
   * the prompt's last. By then the template has said who speaks next.
   */
  last: number;
};

/**
 * Text of which nobody knows the writer counts as a message, if any of a user's messages is not
 * there as it was sent: the template may have made it of that. If there is nothing to look at, all
 * of the prompt counts as one message.
 *
 * @param messages those that were rendered
 * @param length of the prompt, in tokens
 */
export function lookedMessages(
  messages: readonly Message[],
  { spans, length }: { spans: readonly MessageSpan[]; length: number },
): LookedMessage[] {
  const found = new Map(spans.map((span) => [span.message, span.characters]));
  const isWhole = ({ role, content }: Message, i: number) =>
    role !== 'user' || (found.get(i) ?? 0) >= content.trim().length;
  const whole = messages.every(isWhole);
  const isLooked = ({ message }: MessageSpan) => (message === null ? !whole : messages[message]!.role === 'user');
  const looked = spans.filter(isLooked).map(({ from, to }) => {
    const next = spans.find((other) => other.from >= to);
    return { from, to, last: Math.max(to, next?.from ?? length) - 1 };
  });
  return looked.length > 0 ? looked : [{ from: 0, to: length, last: length - 1 }];
}
