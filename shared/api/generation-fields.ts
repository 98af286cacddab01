/**
 * The fields that shape and end answers, as clients write them. Chat and plain completions share
 * them. docs/sampling.md says what each does to the budget's promise.
 */
import * as z from 'zod';
import { Sampling } from './sampling.ts';
import { wellFormed } from './well-formed.ts';

const INT64 = 2n ** 63n;
/**
 * Any 64-bit integer. The JSON parser returns a bigint if a number cannot hold it, and we pass it
 * on as decimal digits.
 */
const seed = z.union([
  z.int(),
  z
    .bigint()
    .min(-INT64)
    .max(INT64 - 1n)
    .transform(String),
]);

const stopString = wellFormed.min(1);
const penalty = z.number().min(-2).max(2).nullish();

/** OpenAI's most. */
export const MOST_CHOICES = 128;
export const MOST_TOP_LOGPROBS = 20;
const MOST_BIASES = 1024;
/** No vocabulary has more tokens. */
export const MOST_ALLOWED = 300_000;

export const LogitBias = z
  .record(z.string().regex(/^(0|[1-9]\d{0,8})$/, 'a token id'), z.number().min(-100).max(100))
  .refine((bias) => Object.keys(bias).length <= MOST_BIASES, `at most ${MOST_BIASES} token ids`);

export const generationFields = {
  max_tokens: z.int().min(1).nullish(),
  stop: z.union([stopString.transform((stop) => [stop]), z.array(stopString).max(4)]).nullish(),
  seed: seed.nullish(),
  /** How many answers. */
  n: z.int().min(1).max(MOST_CHOICES).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  presence_penalty: penalty,
  frequency_penalty: penalty,
  logit_bias: LogitBias.nullish(),
  // vLLM's, from here on. For top_k, -1 also means all tokens.
  top_k: z.int().min(-1).nullish(),
  min_p: Sampling.shape.min_p.nullish(),
  repetition_penalty: Sampling.shape.repetition_penalty.nullish(),
  min_tokens: z.int().min(0).nullish(),
  ignore_eos: z.boolean().nullish(),
  allowed_token_ids: z
    .array(z.int().min(0))
    .min(1)
    .max(MOST_ALLOWED)
    .refine((ids) => new Set(ids).size === ids.length, 'each token id once')
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().nullish(),
      /** Padding against eavesdroppers. There is none; who asks for it reads so in a header. */
      include_obfuscation: z.boolean().nullish(),
    })
    .nullish(),
};
