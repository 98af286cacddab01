/**
 * The events of a streamed response, in OpenAI's shapes. `sequence_number` counts them from 0.
 * A stream ends with `response.completed`, `response.incomplete` or `response.failed`.
 */
import * as z from 'zod';
import { ERROR_CODES, type ErrorCode } from './errors.ts';
import { SentExtension } from './plimsoll-extension.ts';
import { ResponseObject } from './responses-answer.ts';
import { OutputItem, OutputRefusal, OutputText, TokenLogprob } from './responses-items.ts';

const event = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), sequence_number: z.int().min(0), ...shape });

const lifecycle = <T extends string>(type: T) => event(type, { response: ResponseObject });

const item = { output_index: z.int().min(0), item: OutputItem };
const inItem = { item_id: z.string(), output_index: z.int().min(0) };
const inPart = { ...inItem, content_index: z.int().min(0) };
const part = { ...inPart, part: z.discriminatedUnion('type', [OutputText, OutputRefusal]) };
/** With the trace `tokens`: the tokens that this text has come from. */
const traced = { plimsoll: SentExtension.optional() };
/** Without their bytes, as OpenAI has them here. */
const logprobs = z.array(
  TokenLogprob.omit({ bytes: true }).extend({
    top_logprobs: z.array(TokenLogprob.pick({ token: true, logprob: true })),
  }),
);

// The cast: the keys of a record lose their type.
const Code = z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]);

export const ResponseEvent = z.discriminatedUnion('type', [
  lifecycle('response.created'),
  lifecycle('response.in_progress'),
  event('response.output_item.added', item),
  event('response.content_part.added', part),
  event('response.output_text.delta', { ...inPart, delta: z.string(), logprobs, ...traced }),
  event('response.output_text.done', { ...inPart, text: z.string(), logprobs }),
  event('response.refusal.delta', { ...inPart, delta: z.string(), ...traced }),
  event('response.refusal.done', { ...inPart, refusal: z.string() }),
  event('response.content_part.done', part),
  event('response.function_call_arguments.delta', { ...inItem, delta: z.string(), ...traced }),
  event('response.function_call_arguments.done', { ...inItem, name: z.string(), arguments: z.string() }),
  event('response.output_item.done', item),
  lifecycle('response.completed'),
  lifecycle('response.incomplete'),
  lifecycle('response.failed'),
  event('error', { code: Code, message: z.string(), param: z.string().nullable() }),
]);
export type ResponseEvent = z.infer<typeof ResponseEvent>;
