/** What a client may read about the probability of a token, before it has OpenAI's shape. */
import * as z from 'zod';

const Bytes = z.array(z.int().min(0).max(255)).nullable();

/** A token, and its log-probability in nats; null is a probability of 0. */
const Likely = z.strictObject({ id: z.int().min(0), bytes: Bytes, lp: z.number().nullable() });

export const TokenLogprob = z.strictObject({ ...Likely.shape, top: z.array(Likely) });
export type TokenLogprob = z.infer<typeof TokenLogprob>;

/** A prompt that is sent back. With `logprobs`, each of its tokens; nothing predicts the first. */
export const EchoedPrompt = z.strictObject({ text: z.string(), logprobs: z.array(TokenLogprob).optional() });
export type EchoedPrompt = z.infer<typeof EchoedPrompt>;
