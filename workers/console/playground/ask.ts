/** One request under one line, as it is sent and as its answer comes in. */
import type { ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import type { SentExtension, TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { ChatLogprob } from '#shared/api/token-logprobs.ts';
import { ApiError, call, toldError } from '../net/api.ts';
import { readEvents } from '../net/read-events.ts';

/** What the composer holds. */
export type Asked = {
  model: string;
  prompt: string;
  system: string;
  maxTokens: number;
  temperature: number | null;
  seed: number | null;
};

/** Whom to ask, and what the request tightens. null: what the policy says. */
export type LaneLine = {
  /** Only for an operator: whose policy, and which version of it. null: the key's own tenant. */
  tenant: { id: string; version: string } | null;
  floor: number | null;
  budget: number | null;
};

/**
 * How much is asked about each token: the likeliest ones beside it, its own numbers, or nothing.
 * A policy may forbid the first, or both.
 */
export type Depth = 'candidates' | 'tokens' | 'summary';

/** How many candidates. */
const TOP = 5;

/** A token, and the texts of its candidates, of which the trace has the ids alone. */
export type ReadToken = TokenTrace & { topTexts?: readonly string[] };

export type AskEvent =
  | { type: 'delta'; text: string; tokens: ReadToken[] }
  | { type: 'end'; extension: SentExtension; finishReason: string | null };

export const routeOf = ({ tenant }: Pick<LaneLine, 'tenant'>) =>
  tenant === null
    ? '/v1/chat/completions'
    : `/admin/v1/tenants/${tenant.id}/policies/${encodeURIComponent(tenant.version)}/try`;

/** The request's body, without what the console adds for itself. */
export function requestOf(asked: Asked, { floor, budget }: Pick<LaneLine, 'floor' | 'budget'>, depth: Depth) {
  const { model, prompt, system, maxTokens, temperature, seed } = asked;
  return {
    model,
    messages: [
      ...(system.trim() === '' ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: prompt },
    ],
    stream: true,
    max_tokens: maxTokens,
    ...(temperature !== null && { temperature }),
    ...(seed !== null && { seed }),
    // The trace knows candidates by their ids and both experts, OpenAI's fields by their texts.
    ...(depth === 'candidates' && { logprobs: true, top_logprobs: TOP }),
    plimsoll: {
      ...(floor !== null && { floor }),
      ...(budget !== null && { budget }),
      trace: depth === 'summary' ? ('summary' as const) : ('tokens' as const),
      ...(depth === 'candidates' && { top: TOP }),
    },
  };
}

/** Throws an `ApiError` if it is refused, before its first token or after. */
export async function* askLine(
  body: ReturnType<typeof requestOf>,
  { line, signal }: { line: LaneLine; signal: AbortSignal },
): AsyncGenerator<AskEvent, void, void> {
  const answer = await call(routeOf(line), { method: 'POST', body, signal });
  if (answer.body === null) throw new ApiError('The answer is empty.', { status: answer.status, code: 'broken' });
  let extension: SentExtension = {};
  let finishReason: string | null = null;
  for await (const event of readEvents(answer.body)) {
    const told = toldError(event);
    if (told !== null) throw new ApiError(told.message, { ...told, status: answer.status, body: event });
    // The cast: whatever is no error is a chunk, made by the edge's own schema.
    const { choices, plimsoll } = event as ChatCompletionChunk;
    const [choice] = choices;
    const { tokens, ...summary } = plimsoll ?? {};
    extension = { ...extension, ...summary };
    finishReason = choice?.finish_reason ?? finishReason;
    const text = choice?.delta.content ?? '';
    const read = withTexts(tokens ?? [], choice?.logprobs?.content ?? []);
    if (text !== '' || read.length > 0) yield { type: 'delta', text, tokens: read };
  }
  yield { type: 'end', extension, finishReason };
}

/** A chunk has the same tokens in both. If it has not, the ids have to do. */
function withTexts(tokens: readonly TokenTrace[], logprobs: readonly ChatLogprob[]): ReadToken[] {
  if (logprobs.length !== tokens.length) return [...tokens];
  return tokens.map((token, at) => ({
    ...token,
    topTexts: (logprobs[at]?.top_logprobs ?? []).map(({ token: text }) => text),
  }));
}
