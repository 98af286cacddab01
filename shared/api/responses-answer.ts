/** OpenAI's response object, with Plimsoll's extension. */
import * as z from 'zod';
import { SentExtension } from './plimsoll-extension.ts';
import { OutputItem } from './responses-items.ts';

export const ResponseUsage = z.strictObject({
  input_tokens: z.int(),
  /** `cached_tokens`: those that no expert had to read again. Nothing is written to be paid for. */
  input_tokens_details: z.strictObject({ cached_tokens: z.int(), cache_write_tokens: z.literal(0) }),
  output_tokens: z.int(),
  output_tokens_details: z.strictObject({ reasoning_tokens: z.literal(0) }),
  total_tokens: z.int(),
});
export type ResponseUsage = z.infer<typeof ResponseUsage>;

/** OpenAI's codes that occur here. Ours is in the message's place of the chat API: in an event. */
const FailureCode = z.enum(['server_error', 'rate_limit_exceeded']);

/**
 * `completed`: it ended by itself or with calls of tools. `incomplete`: it ended at its limit, or
 * was refused. `failed`: it broke off.
 */
const ResponseStatus = z.enum(['in_progress', 'completed', 'incomplete', 'failed']);

export const ResponseObject = z.strictObject({
  id: z.string().startsWith('resp_'),
  object: z.literal('response'),
  /** Unix seconds. */
  created_at: z.int(),
  completed_at: z.int().nullable(),
  status: ResponseStatus,
  error: z.strictObject({ code: FailureCode, message: z.string() }).nullable(),
  incomplete_details: z.strictObject({ reason: z.enum(['max_output_tokens', 'content_filter']) }).nullable(),
  model: z.string(),
  output: z.array(OutputItem),
  /** Left out until the answer has ended. */
  usage: ResponseUsage.optional(),
  /** Whether it can be named as `previous_response_id`, and read again. */
  store: z.boolean(),
  // What was asked.
  background: z.literal(false),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  max_tool_calls: z.null(),
  metadata: z.record(z.string(), z.string()),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.string().nullable(),
  prompt_cache_key: z.string().optional(),
  reasoning: z.strictObject({ effort: z.null(), summary: z.null() }),
  safety_identifier: z.string().optional(),
  service_tier: z.literal('default'),
  /** Null: the model's own default, which the receipt names. */
  temperature: z.number().nullable(),
  text: z.strictObject({ format: z.looseObject({ type: z.string() }), verbosity: z.literal('medium') }),
  tool_choice: z.unknown(),
  tools: z.array(z.looseObject({ type: z.string() })),
  top_logprobs: z.int(),
  top_p: z.number().nullable(),
  truncation: z.literal('disabled'),
  user: z.string().optional(),
  /** As in a chat completion; while the answer is under way, it is left out. */
  plimsoll: SentExtension.optional(),
});
export type ResponseObject = z.infer<typeof ResponseObject>;

/** What `DELETE` answers. */
export const DeletedResponse = z.strictObject({
  id: z.string(),
  object: z.literal('response'),
  deleted: z.literal(true),
});

/** What a stored response was asked with, a page of it. */
export const InputItemList = z.strictObject({
  object: z.literal('list'),
  data: z.array(z.looseObject({ id: z.string(), type: z.string() })),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
