/** OpenAI's older answers to plain prompts, whole and streamed, with Plimsoll's extension. */
import * as z from 'zod';
import { FinishReason, Usage } from './chat-answer.ts';
import { SentExtension } from './plimsoll-extension.ts';

/** Lists with one entry for each token; with `echo`, those of the prompt come first. */
export const CompletionLogprobs = z.strictObject({
  /** The text of each. One that is part of a character is written as `bytes:\xe2\x9a`. */
  tokens: z.array(z.string()),
  /** Nats. null: nothing predicts a prompt's first token. Probability 0 is -9999. */
  token_logprobs: z.array(z.number().nullable()),
  /** The likeliest tokens, and the drawn one. */
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  /** Where in the choice's `text` each begins, in Unicode characters. */
  text_offset: z.array(z.int().min(0)),
});
export type CompletionLogprobs = z.infer<typeof CompletionLogprobs>;

const Choice = z.strictObject({
  /** Those of the first prompt come first. */
  index: z.int().min(0),
  text: z.string(),
  logprobs: CompletionLogprobs.nullable(),
  finish_reason: FinishReason,
  /** Of a further answer. That of the first is beside `choices`. */
  plimsoll: SentExtension.optional(),
});

const head = {
  id: z.string().startsWith('cmpl-'),
  object: z.literal('text_completion'),
  /** Unix seconds. */
  created: z.int(),
  model: z.string(),
  system_fingerprint: z.string(),
};

export const Completion = z.strictObject({
  ...head,
  choices: z.tuple([Choice], Choice),
  usage: Usage,
  plimsoll: SentExtension,
});
export type Completion = z.infer<typeof Completion>;

export const CompletionChunk = z.strictObject({
  ...head,
  /** Empty in the usage chunk. */
  choices: z.array(z.strictObject({ ...Choice.shape, finish_reason: FinishReason.nullable() })).max(1),
  /** Only with `stream_options.include_usage`. Then it is null on every chunk but the last. */
  usage: Usage.nullable().optional(),
  plimsoll: SentExtension.optional(),
});
export type CompletionChunk = z.infer<typeof CompletionChunk>;
