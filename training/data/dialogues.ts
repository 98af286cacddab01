/**
 * Readers of conversations. A layout is a schema plus a function that turns one row into a
 * dialogue, or says why it cannot. To add a layout, add a line to `DIALOGUE_LAYOUTS`.
 */
import * as z from 'zod';
import { Message } from '#shared/protocol/generate.ts';
import { readRows } from './read-rows.ts';
import type { Dialogue } from './rows.ts';
import type { SkipReason } from './skips.ts';

const Source = z.string().optional();

/** Alpaca: `instruction`, an optional `input`, and `output`. Our `instr_*` files add a `source`. */
const Alpaca = z.object({
  instruction: z.string().min(1),
  input: z.string().nullish(),
  output: z.string(),
  source: Source,
});
/** Dolly: `instruction`, an optional `context`, and `response`. */
const Dolly = z.object({
  instruction: z.string().min(1),
  context: z.string().nullish(),
  response: z.string(),
  source: Source,
});
/**
 * `messages` with roles and contents, as in OpenAI's fine-tuning files and our `dialog_*` files.
 */
const Messages = z.object({ messages: z.array(Message).min(2), source: Source });

const single = (
  question: string,
  more: string | null | undefined,
  answer: string,
  source: string,
): Dialogue | SkipReason =>
  answer.trim() === ''
    ? 'emptyAnswer'
    : {
        messages: [
          { role: 'user', content: more?.trim() ? `${question}\n\n${more}` : question },
          { role: 'assistant', content: answer },
        ],
        source,
      };

const layout = <T>(schema: z.ZodType<T>, dialogueOf: (row: T, file: string) => Dialogue | SkipReason) => ({
  read: async function* (
    file: string,
    { onSkip }: { onSkip?: (reason: SkipReason) => void } = {},
  ): AsyncGenerator<Dialogue> {
    for await (const row of readRows(file, schema)) {
      const dialogue = dialogueOf(row, file);
      if (typeof dialogue === 'string') onSkip?.(dialogue);
      else yield dialogue;
    }
  },
});

export const DIALOGUE_LAYOUTS = {
  alpaca: layout(Alpaca, (row, file) => single(row.instruction, row.input, row.output, row.source ?? file)),
  dolly: layout(Dolly, (row, file) => single(row.instruction, row.context, row.response, row.source ?? file)),
  messages: layout(Messages, ({ messages, source }, file) => {
    const last = messages.findLastIndex((message) => message.role === 'assistant');
    return last < 1 ? 'noAnswer' : { messages: messages.slice(0, last + 1), source: source ?? file };
  }),
};
export type DialogueLayout = keyof typeof DIALOGUE_LAYOUTS;
