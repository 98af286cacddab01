/**
 * Log-probabilities of an answer's tokens, in OpenAI's two shapes. They are those of the
 * distribution that the token was drawn from, after the line and the sampling (docs/sampling.md).
 */
import * as z from 'zod';

/** Bytes of a token, which may be part of a UTF-8 character. null: a token without text. */
const Bytes = z.array(z.int().min(0).max(255)).nullable();

const Likely = z.strictObject({
  /** The bytes as text. Part of a character reads as U+FFFD, so `bytes` are what counts. */
  token: z.string(),
  /** Nats. Probability 0 is -9999, as OpenAI writes it: JSON has no infinity. */
  logprob: z.number(),
  bytes: Bytes,
});

/** A token of a chat answer. */
export const ChatLogprob = z.strictObject({ ...Likely.shape, top_logprobs: z.array(Likely) });
export type ChatLogprob = z.infer<typeof ChatLogprob>;

/** `choices[].logprobs` of a chat answer, and of each chunk of a streamed one. */
export const ChatLogprobs = z.strictObject({ content: z.array(ChatLogprob), refusal: z.null() });
export type ChatLogprobs = z.infer<typeof ChatLogprobs>;
