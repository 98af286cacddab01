/**
 * OpenAI's chat request. We read only the fields this server acts on. Unknown fields are ignored,
 * since OpenAI's clients send many. Known fields that we cannot honour are refused by name: an
 * answer without the requested tools or log-probabilities would be a wrong answer.
 */
import * as z from 'zod';
import { PlimsollError } from './errors.ts';
import { describeFound, parseRequest } from './invalid-request.ts';
import { RequestExtension } from './plimsoll-extension.ts';
import { repaired, wellFormed } from './well-formed.ts';

const text = repaired;

const Content = z.union([
  text,
  z
    .array(z.object({ type: z.literal('text'), text }))
    .min(1)
    .transform((parts) => parts.map((part) => part.text).join('\n')),
]);

const RequestMessage = z.object({
  role: z
    .enum(['system', 'developer', 'user', 'assistant'])
    .transform((role) => (role === 'developer' ? 'system' : role)),
  content: Content,
});

/** More turns than any conversation has, but too few to turn a small body into a lot of work. */
export const MAX_MESSAGES = 2048;

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

export const ChatRequest = z.object({
  model: wellFormed.min(1),
  messages: z.array(RequestMessage).min(1).max(MAX_MESSAGES),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  stop: z.union([stopString.transform((stop) => [stop]), z.array(stopString).max(4)]).nullish(),
  seed: seed.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  // Only values that ask for nothing (see UNSUPPORTED). They override the model's own defaults.
  top_k: z.literal([0, -1]).nullish(),
  min_p: z.literal(0).nullish(),
  repetition_penalty: z.literal(1).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  plimsoll: RequestExtension.nullish(),
});
export type ChatRequest = z.infer<typeof ChatRequest>;

const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;
const isNever = () => false;

const only = (neutral: unknown) => ({
  asksForNothing: (value: unknown) => value === neutral,
  expected: String(neutral),
});

/** Fields we cannot honour. Null and values that ask for nothing are allowed. */
const UNSUPPORTED: Record<string, { asksForNothing: (value: unknown) => boolean; expected: string }> = {
  n: only(1),
  best_of: only(1),
  tools: { asksForNothing: isEmpty, expected: 'no tools' },
  tool_choice: { asksForNothing: (value) => value === 'none' || value === 'auto', expected: '"none"' },
  functions: { asksForNothing: isEmpty, expected: 'no functions' },
  function_call: { asksForNothing: (value) => value === 'none' || value === 'auto', expected: '"none"' },
  logprobs: only(false),
  top_logprobs: only(0),
  logit_bias: { asksForNothing: isEmpty, expected: 'an empty object' },
  presence_penalty: only(0),
  frequency_penalty: only(0),
  // vLLM's, where -1 also means all tokens.
  top_k: { asksForNothing: (value) => value === 0 || value === -1, expected: '0' },
  min_p: only(0),
  repetition_penalty: only(1),
  min_tokens: only(0),
  ignore_eos: only(false),
  allowed_token_ids: { asksForNothing: isNever, expected: 'the field left out' },
  echo: only(false),
  response_format: {
    asksForNothing: (value) => typeof value === 'object' && value !== null && 'type' in value && value.type === 'text',
    expected: '{"type":"text"}',
  },
  modalities: {
    asksForNothing: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
    expected: '["text"]',
  },
  audio: { asksForNothing: isNever, expected: 'the field left out' },
  prediction: { asksForNothing: isNever, expected: 'the field left out' },
  web_search_options: { asksForNothing: isNever, expected: 'the field left out' },
};

export function parseChatRequest(body: unknown): ChatRequest {
  if (typeof body === 'object' && body !== null) refuseUnsupported(body);
  const chat = parseRequest(ChatRequest, body);
  if (chat.stream_options != null && chat.stream !== true) {
    throw new PlimsollError('invalid_value', "'stream_options' is only allowed when 'stream' is true.", {
      param: 'stream_options',
    });
  }
  return chat;
}

function refuseUnsupported(body: object): void {
  for (const [field, { asksForNothing, expected }] of Object.entries(UNSUPPORTED)) {
    const value: unknown = (body as Record<string, unknown>)[field];
    if (value === undefined || value === null || asksForNothing(value)) continue;
    throw new PlimsollError(
      asksForNothing === isNever ? 'unsupported_parameter' : 'unsupported_value',
      `'${field}' is not supported by this server: expected ${expected}, found ${describeFound(value)}.`,
      { param: field },
    );
  }
}
