import type { Message } from './generate.ts';

/** How many messages at the beginning of a conversation are system messages. */
export function leadingSystem(messages: readonly Pick<Message, 'role'>[]): number {
  const begins = messages.findIndex(({ role }) => role !== 'system');
  return begins === -1 ? messages.length : begins;
}
