/**
 * The body of `POST /v1/generate` for a chat request. The edge sends it, and its digest is the
 * receipt's `prompt_digest`. So whoever checks a receipt writes it again with this same code.
 */
import type { ChatRequest } from '#shared/api/chat-request.ts';
import type { RequestExtension } from '#shared/api/plimsoll-extension.ts';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';
import { lesser } from '#shared/line/order.ts';
import type { GenerateBody, Seed } from './generate.ts';

/**
 * @param seed where the client names none
 * @param defaults how the model draws where the client names nothing
 * @param maxTokensOfPolicy null: the policy has no limit
 */
export function generateBody(
  chat: ChatRequest,
  {
    maxTokensOfPolicy,
    trace,
    defaults,
    seed,
  }: { maxTokensOfPolicy: number | null; trace: RequestExtension['trace']; defaults: Sampling; seed: () => Seed },
): GenerateBody {
  const { temperature, top_p, ...rest } = samplingOf(chat, defaults);
  const asked = lesser(chat.max_tokens ?? null, chat.max_completion_tokens ?? null);
  return {
    model: chat.model,
    messages: chat.messages,
    max_tokens: lesser(asked, maxTokensOfPolicy),
    stop: chat.stop ?? [],
    // The receipt says which seed was drawn, so this answer can be reproduced too.
    seed: chat.seed ?? seed(),
    temperature,
    // OpenAI allows 0, which means only the likeliest token. Any share this small has that effect.
    top_p: Math.max(top_p, Number.EPSILON),
    // Left out where they are neutral, so that the digest of a plain request has few fields.
    ...Object.fromEntries(Object.entries(rest).filter(([name, value]) => value !== NEUTRAL[name])),
    // A trace of the tokens is all that shows these. Else they would cost a sum over every row.
    ...(trace === 'tokens' && { expert_logprobs: true, ...topOf(chat) }),
  };
}

function topOf({ plimsoll }: ChatRequest): Pick<GenerateBody, 'logprobs' | 'top_logprobs'> {
  const top = plimsoll?.top ?? 0;
  return top === 0 ? {} : { logprobs: true, top_logprobs: top };
}

const NEUTRAL: Readonly<Record<string, number>> = PLAIN_SAMPLING;

/** What the client names, and the model's own defaults for the rest. */
function samplingOf({ temperature, top_p, top_k, min_p, repetition_penalty }: ChatRequest, defaults: Sampling) {
  return {
    temperature: temperature ?? defaults.temperature,
    top_p: top_p ?? defaults.top_p,
    // vLLM's -1 also means all tokens.
    top_k: top_k == null ? defaults.top_k : Math.max(top_k, 0),
    min_p: min_p ?? defaults.min_p,
    repetition_penalty: repetition_penalty ?? defaults.repetition_penalty,
  };
}
