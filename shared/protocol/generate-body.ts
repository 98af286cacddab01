/**
 * The body of `POST /v1/generate` for a client's request. The edge sends it, and its digest is the
 * receipt's `prompt_digest`. So whoever checks a receipt writes it again with this same code.
 */
import type { ChatRequest } from '#shared/api/chat-request.ts';
import { toldTools } from '#shared/api/chat-tools.ts';
import type { RequestExtension } from '#shared/api/plimsoll-extension.ts';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';
import { lesser } from '#shared/line/order.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import type { GenerateBody, RawPrompt, Seed } from './generate.ts';
import { grammarOfChat } from './grammar-of-chat.ts';

/**
 * A request for answers to one prompt: a chat, or a plain prompt, whose `messages` then are what
 * the classifier reads in its place.
 */
export type Asked = ChatRequest & { prompt?: RawPrompt; echo?: boolean };

/**
 * @param seed where the client names none
 * @param defaults how the model draws where the client names nothing
 * @param maxTokensOfPolicy null: the policy has no limit
 * @param syntax in which the model writes calls; null if the request offers no tools
 */
export function generateBody(
  asked: Asked,
  {
    maxTokensOfPolicy,
    trace,
    defaults,
    seed,
    syntax,
  }: {
    maxTokensOfPolicy: number | null;
    trace: RequestExtension['trace'];
    defaults: Sampling;
    seed: () => Seed;
    syntax: ToolSyntax | null;
  },
): GenerateBody {
  const { temperature, top_p, ...rest } = samplingOf(asked, defaults);
  const grammar = grammarOfChat(asked, { syntax })?.grammar;
  return {
    model: asked.model,
    ...(asked.prompt === undefined
      ? { messages: asked.messages, ...toldOf(asked) }
      : { messages: [], prompt: asked.prompt }),
    max_tokens: lesser(mostTokensAsked(asked), maxTokensOfPolicy),
    stop: asked.stop ?? [],
    // The receipt says which seed was drawn, so this answer can be reproduced too.
    seed: asked.seed ?? seed(),
    temperature,
    // OpenAI allows 0, which means only the likeliest token. Any share this small has that effect.
    top_p: Math.max(top_p, Number.EPSILON),
    // Left out where they are neutral, so that the digest of a plain request has few fields.
    ...Object.fromEntries(Object.entries(rest).filter(([name, value]) => value !== NEUTRAL[name])),
    ...wishesOf(asked),
    ...(grammar && { grammar }),
    // A trace of the tokens is all that shows these. Else they would cost a sum over every row.
    ...(trace === 'tokens' && { expert_logprobs: true }),
    ...logprobsOf(asked, trace === 'tokens' ? (asked.plimsoll?.top ?? 0) : 0),
    ...(asked.echo === true && { echo: true }),
  };
}

function toldOf(asked: Asked): Pick<GenerateBody, 'tools'> {
  const tools = toldTools(asked);
  return tools.length === 0 ? {} : { tools };
}

/** The most tokens that the client wants of each answer; null if it does not say. */
export function mostTokensAsked({
  max_tokens,
  max_completion_tokens,
}: Pick<ChatRequest, 'max_tokens' | 'max_completion_tokens'>): number | null {
  return lesser(max_tokens ?? null, max_completion_tokens ?? null);
}

/** Those that are not neutral. */
function wishesOf(asked: Asked): Partial<GenerateBody> {
  const { presence_penalty, frequency_penalty, logit_bias, allowed_token_ids, min_tokens, ignore_eos, n } = asked;
  return {
    ...(presence_penalty && { presence_penalty }),
    ...(frequency_penalty && { frequency_penalty }),
    ...(logit_bias && Object.keys(logit_bias).length > 0 && { logit_bias }),
    ...(allowed_token_ids && { allowed_token_ids }),
    ...(min_tokens && { min_tokens }),
    ...(ignore_eos && { ignore_eos }),
    ...(n != null && n > 1 && { n }),
  };
}

/** @param traced how many of the likeliest tokens a trace wants */
function logprobsOf({ logprobs, top_logprobs }: Asked, traced: number): Partial<GenerateBody> {
  const top = Math.max(top_logprobs ?? 0, traced);
  return {
    ...((logprobs === true || traced > 0) && { logprobs: true }),
    ...(top > 0 && { top_logprobs: top }),
  };
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
