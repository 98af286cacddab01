/** What a row of each layout of conversations must hold. Keys that we do not use are left alone. */
import * as z from 'zod';
import { Message } from '#shared/protocol/generate.ts';

const Origin = { source: z.string().optional(), licence: z.string().optional() };

/** Alpaca: `instruction`, an optional `input`, and `output`. Our `instr_*` files add a `source`. */
export const Alpaca = z.object({
  instruction: z.string().min(1),
  input: z.string().nullish(),
  output: z.string(),
  ...Origin,
});
/** Dolly: `instruction`, an optional `context`, and `response`. */
export const Dolly = z.object({
  instruction: z.string().min(1),
  context: z.string().nullish(),
  response: z.string(),
  ...Origin,
});
/**
 * `messages` with roles and contents, as in OpenAI's fine-tuning files and our `dialog_*` files.
 */
export const Messages = z.object({ messages: z.array(Message).min(2), ...Origin });
