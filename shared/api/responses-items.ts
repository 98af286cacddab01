/**
 * What OpenAI's Responses API calls items: the turns of a conversation, as a client sends them and
 * as an answer has them.
 */
import * as z from 'zod';
import { repaired, wellFormed } from './well-formed.ts';

const text = repaired;

const InputText = z.object({ type: z.literal('input_text'), text });
/** As an answer had it. What else is in it, such as annotations, changes no prompt. */
const SentText = z.object({ type: z.literal('output_text'), text });
const SentRefusal = z.object({ type: z.literal('refusal'), refusal: text });

/** Each kind of content that a message may have. */
export const CONTENT = { input_text: InputText, output_text: SentText, refusal: SentRefusal } as const;
export type ContentType = keyof typeof CONTENT;
export type ContentPart = z.infer<(typeof CONTENT)[ContentType]>;

/** Its parts are read one by one, so that an error can say which kinds there are. */
export const MessageItem = z.object({
  type: z.literal('message').nullish(),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: z.union([text, z.array(z.looseObject({ type: z.string() })).min(1)]),
});

export const FunctionCallItem = z.object({
  type: z.literal('function_call'),
  call_id: wellFormed.min(1),
  name: wellFormed.min(1),
  arguments: text,
});

export const FunctionOutputItem = z.object({
  type: z.literal('function_call_output'),
  call_id: wellFormed.min(1),
  output: z.union([text, z.array(z.looseObject({ type: z.string() })).min(1)]),
});

/** An item of an answer that was stored, by its id. */
export const ItemReference = z.object({ type: z.literal('item_reference').nullish(), id: wellFormed.min(1) });

/** OpenAI's clients leave the type of a message out, and some that of a reference. */
export const itemType = (item: Readonly<Record<string, unknown>>): unknown =>
  item.type ?? ('role' in item || !('id' in item) ? 'message' : 'item_reference');

/** In an answer. `incomplete`: the answer ended inside it. */
const ItemStatus = z.enum(['in_progress', 'completed', 'incomplete']);

const Likely = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) });
/** Of one token of an answer: natural logarithms, and the likeliest tokens in its place. */
export const TokenLogprob = Likely.extend({ top_logprobs: z.array(Likely) });
export type TokenLogprob = z.infer<typeof TokenLogprob>;

export const OutputText = z.strictObject({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.tuple([]),
  logprobs: z.array(TokenLogprob),
});
export const OutputRefusal = z.strictObject({ type: z.literal('refusal'), refusal: z.string() });
export type OutputPart = z.infer<typeof OutputText> | z.infer<typeof OutputRefusal>;

const OutputMessage = z.strictObject({
  type: z.literal('message'),
  id: z.string().startsWith('msg_'),
  status: ItemStatus,
  role: z.literal('assistant'),
  content: z.array(z.discriminatedUnion('type', [OutputText, OutputRefusal])),
});

const OutputFunctionCall = z.strictObject({
  type: z.literal('function_call'),
  id: z.string().startsWith('fc_'),
  status: ItemStatus,
  call_id: z.string(),
  name: z.string(),
  arguments: z.string(),
});

export const OutputItem = z.discriminatedUnion('type', [OutputMessage, OutputFunctionCall]);
export type OutputItem = z.infer<typeof OutputItem>;
