/** OpenAI's chat answers, whole and streamed, with Plimsoll's extension. */
import * as z from 'zod';
import { SentExtension } from './plimsoll-extension.ts';
import { ChatLogprobs } from './token-logprobs.ts';
import { ToolCall, ToolCallDelta } from './tool-calls.ts';

/**
 * Why an answer ended. `stop`: by itself or at a stop string. `length`: at its token limit.
 * `content_filter`: the second look at its prompt refused it, so nothing was drawn.
 */
export const FinishReason = z.enum(['stop', 'length', 'content_filter']);
export type FinishReason = z.infer<typeof FinishReason>;

/** Of a chat answer: `tool_calls` if it calls functions and has not been cut off. */
export const ChatFinishReason = z.enum([...FinishReason.options, 'tool_calls']);
export type ChatFinishReason = z.infer<typeof ChatFinishReason>;

export const Usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  /**
   * How many of the prompt's tokens no expert had to read again (docs/operations.md). Left out by
   * backends that do not count them.
   */
  prompt_tokens_details: z.object({ cached_tokens: z.int().min(0) }).optional(),
  /**
   * Tokens of the answer that the backend had guessed from the text before them, and wrong guesses.
   * Wrong guesses are no part of the answer and are not counted elsewhere. Left out if nothing was
   * guessed.
   */
  completion_tokens_details: z
    .object({
      accepted_prediction_tokens: z.int().min(0),
      rejected_prediction_tokens: z.int().min(0),
    })
    .optional(),
});
export type Usage = z.infer<typeof Usage>;

const head = {
  id: z.string().startsWith('chatcmpl-'),
  /** Unix seconds. */
  created: z.int(),
  model: z.string(),
  /**
   * Equal requests with equal fingerprints get equal answers, unless rounding differs between
   * batches. docs/threat-model.md says how often that happens.
   */
  system_fingerprint: z.string(),
};

const Choice = z.strictObject({
  index: z.int().min(0),
  message: z.strictObject({
    role: z.literal('assistant'),
    /** null: it only calls. */
    content: z.string().nullable(),
    refusal: z.null(),
    tool_calls: z.array(ToolCall).min(1).optional(),
  }),
  logprobs: ChatLogprobs.nullable(),
  finish_reason: ChatFinishReason,
  /** Of a further answer. That of the first is beside `choices`. */
  plimsoll: SentExtension.optional(),
});

export const ChatCompletion = z.strictObject({
  ...head,
  object: z.literal('chat.completion'),
  choices: z.tuple([Choice], Choice),
  usage: Usage,
  plimsoll: SentExtension,
});
export type ChatCompletion = z.infer<typeof ChatCompletion>;

export const ChatCompletionChunk = z.strictObject({
  ...head,
  object: z.literal('chat.completion.chunk'),
  /** Empty in the usage chunk. */
  choices: z
    .array(
      z.strictObject({
        index: z.int().min(0),
        delta: z.strictObject({
          role: z.literal('assistant').optional(),
          content: z.string().optional(),
          refusal: z.null().optional(),
          tool_calls: z.array(ToolCallDelta).min(1).optional(),
        }),
        logprobs: ChatLogprobs.nullable(),
        finish_reason: ChatFinishReason.nullable(),
        /** Of a further answer, where it has ended. */
        plimsoll: SentExtension.optional(),
      }),
    )
    .max(1),
  /** Only with `stream_options.include_usage`. Then it is null on every chunk but the last. */
  usage: Usage.nullable().optional(),
  plimsoll: SentExtension.optional(),
});
export type ChatCompletionChunk = z.infer<typeof ChatCompletionChunk>;
