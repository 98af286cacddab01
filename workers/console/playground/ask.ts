/** One request under one line, as it is sent and as its answer comes in. */
import type { ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import type { SentExtension, TokenTrace } from '#shared/api/plimsoll-extension.ts';
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

export type AskEvent =
  | { type: 'delta'; text: string; tokens: TokenTrace[] }
  | { type: 'end'; extension: SentExtension; finishReason: string | null };

export const routeOf = ({ tenant }: Pick<LaneLine, 'tenant'>) =>
  tenant === null
    ? '/v1/chat/completions'
    : `/admin/v1/tenants/${tenant.id}/policies/${encodeURIComponent(tenant.version)}/try`;

/** The request's body, without what the console adds for itself. */
export function requestOf(
  asked: Asked,
  { floor, budget }: Pick<LaneLine, 'floor' | 'budget'>,
  trace: 'tokens' | 'summary',
) {
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
    plimsoll: { ...(floor !== null && { floor }), ...(budget !== null && { budget }), trace },
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
    if (text !== '' || (tokens ?? []).length > 0) yield { type: 'delta', text, tokens: tokens ?? [] };
  }
  yield { type: 'end', extension, finishReason };
}
