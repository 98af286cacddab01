/**
 * What the second look reads of a prompt: the tokens of every message. A client writes all of them,
 * the system's and the assistant's too, so a role that we skip would be a way around the look. Only
 * an expert's own prompt is not the client's.
 *
 * A message's last token has attended to all of its text. That of the last message is the prompt's
 * last, so nothing that the client wrote goes unread.
 */
import type { Message } from '#shared/protocol/generate.ts';
import { leadingSystem } from '#shared/protocol/leading-system.ts';
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
 * Text of which nobody knows the writer counts as a message, if any message is not there as it was
 * sent: the template may have made it of that. If there is nothing to look at, all of the prompt
 * counts as one message.
 *
 * @param messages those that were rendered; if with an expert's own prompt, as `withPrompt` puts it
 * @param length of the prompt, in tokens
 */
export function lookedMessages(
  messages: readonly Message[],
  { spans, length }: { spans: readonly MessageSpan[]; length: number },
): LookedMessage[] {
  const found = new Map(spans.map((span) => [span.message, span.characters]));
  const own = messages.length;
  const holdsOwn = leadingSystem(messages) - 1;
  const charactersOf = (i: number) => (found.get(i) ?? 0) + (i === holdsOwn ? (found.get(own) ?? 0) : 0);
  const whole = messages.every(({ content }, i) => charactersOf(i) >= content.trim().length);
  const looked = spans.filter(({ message }) => (message === null ? !whole : message !== own));
  if (looked.length === 0) return [{ from: 0, to: length, last: length - 1 }];
  return looked.map(({ from, to }) => {
    const next = looked.find((other) => other.from >= to);
    return { from, to, last: Math.max(to, next?.from ?? length) - 1 };
  });
}
