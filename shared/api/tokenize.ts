/**
 * vLLM's `/tokenize` and `/detokenize`: its fields, its answers and its defaults. What would change
 * the tokens and is not supported is refused by name.
 */
import * as z from 'zod';
import { ChatRequest } from './chat-request.ts';
import { Tools } from './chat-tools.ts';
import { PlimsollError } from './errors.ts';
import { parseRequest } from './invalid-request.ts';
import { repaired, wellFormed } from './well-formed.ts';

/** vLLM leaves the model out where there is only one. */
const model = wellFormed.min(1).nullish();
const strings = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false)
  .describe("the tokens' own texts, too, as the tokenizer's vocabulary writes them");

const TextToTokenize = z.strictObject({
  model,
  prompt: repaired,
  add_special_tokens: z.boolean().default(true).describe('those that the tokenizer puts around a text, such as BOS'),
  return_token_strs: strings,
});
const ChatToTokenize = z.strictObject({
  model,
  messages: ChatRequest.shape.messages,
  tools: Tools.nullish().describe('as the model would be told of them'),
  add_generation_prompt: z.boolean().default(true),
  add_special_tokens: z.boolean().default(false).describe('around what the chat template has written'),
  return_token_strs: strings,
});

export const TokenizeRequest = z.union([ChatToTokenize, TextToTokenize]);
export type TokenizeRequest = z.infer<typeof TokenizeRequest>;

export const TokenizeAnswer = z.strictObject({
  count: z.int().min(0),
  max_model_len: z.int().min(1),
  tokens: z.array(z.int().min(0)),
  token_strs: z.array(z.string()).nullable(),
});
export type TokenizeAnswer = z.infer<typeof TokenizeAnswer>;

/** More than any context that is served. */
export const MAX_IDS = 300_000;

export const DetokenizeRequest = z.strictObject({ model, tokens: z.array(z.int().min(0)).max(MAX_IDS) });
export type DetokenizeRequest = z.infer<typeof DetokenizeRequest>;

export const DetokenizeAnswer = z.strictObject({ prompt: z.string() });
export type DetokenizeAnswer = z.infer<typeof DetokenizeAnswer>;

/** vLLM's fields that would change the tokens of a conversation, and their values that do not. */
const UNSUPPORTED = {
  continue_final_message: false,
  chat_template: null,
  chat_template_kwargs: {},
  media_io_kwargs: {},
  mm_processor_kwargs: {},
} as const;

/** Throws a PlimsollError that names the field which is wrong. */
export function parseTokenizeRequest(body: unknown): TokenizeRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return parseRequest(TextToTokenize, body);
  const fields: Record<string, unknown> = { ...body };
  for (const [field, neutral] of Object.entries(UNSUPPORTED)) {
    const value = fields[field];
    delete fields[field];
    if (value == null || JSON.stringify(value) === JSON.stringify(neutral)) continue;
    throw new PlimsollError('unsupported_parameter', `'${field}' is not supported by this server.`, { param: field });
  }
  if (fields.messages !== undefined && fields.prompt !== undefined) {
    throw new PlimsollError('invalid_value', "'prompt' and 'messages' do not go together: send one of the two.", {
      param: 'prompt',
    });
  }
  // One of the two forms, so that an error is about that one.
  return parseRequest(fields.messages === undefined ? TextToTokenize : ChatToTokenize, fields);
}
