/** Parses HH-RLHF's transcripts, "\n\nHuman: ...\n\nAssistant: ...", into messages. */
import * as z from 'zod';
import type { Message } from '#shared/protocol/generate.ts';

export const Transcript = z.string().transform((text, context): Message[] => {
  const messages = parseTranscript(text);
  if (messages.length < 2 || !messages.some(({ role }) => role === 'assistant')) {
    const message = 'a transcript goes from "\\n\\nHuman:" to a last "\\n\\nAssistant:"';
    context.addIssue({ code: 'custom', message });
  }
  return messages;
});

function parseTranscript(text: string): Message[] {
  const parts = text.split(/\n\n(Human|Assistant): ?/);
  const messages: Message[] = [];
  for (let i = 1; i + 1 < parts.length; i += 2) {
    messages.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1]!.trim() });
  }
  return messages;
}
