/**
 * Readers of conversations. A layout is a schema plus a function that turns one row into a
 * dialogue, or says why it cannot. To add a layout, add a line to `DIALOGUE_LAYOUTS`.
 */
import type * as z from 'zod';
import { Alpaca, Dolly, Messages } from './dialogue-rows.ts';
import { looksLike } from './looks-like.ts';
import { readRows } from './read-rows.ts';
import type { Dialogue, Origin } from './rows.ts';
import type { SkipReason } from './skips.ts';

const single = (
  question: string,
  more: string | null | undefined,
  answer: string,
  origin: Origin,
): Dialogue | SkipReason =>
  answer.trim() === ''
    ? 'emptyAnswer'
    : {
        messages: [
          { role: 'user', content: more?.trim() ? `${question}\n\n${more}` : question },
          { role: 'assistant', content: answer },
        ],
        ...origin,
      };

const originOf = (row: { source?: string | undefined; licence?: string | undefined }, file: string): Origin => ({
  source: row.source ?? file,
  ...(row.licence !== undefined && { licence: row.licence }),
});

const layout = <T>(schema: z.ZodType<T>, dialogueOf: (row: T, file: string) => Dialogue | SkipReason) => ({
  read: async function* (
    file: string,
    { onSkip }: { onSkip?: (reason: SkipReason) => void } = {},
  ): AsyncGenerator<Dialogue> {
    for await (const row of readRows(file, schema, { hint: looksLike })) {
      const dialogue = dialogueOf(row, file);
      if (typeof dialogue === 'string') onSkip?.(dialogue);
      else yield dialogue;
    }
  },
});

export const DIALOGUE_LAYOUTS = {
  alpaca: layout(Alpaca, (row, file) => single(row.instruction, row.input, row.output, originOf(row, file))),
  dolly: layout(Dolly, (row, file) => single(row.instruction, row.context, row.response, originOf(row, file))),
  messages: layout(Messages, ({ messages, ...row }, file) => {
    const last = messages.findLastIndex((message) => message.role === 'assistant');
    return last < 1 ? 'noAnswer' : { messages: messages.slice(0, last + 1), ...originOf(row, file) };
  }),
};
export type DialogueLayout = keyof typeof DIALOGUE_LAYOUTS;
