/**
 * The most that a request can cost, before any backend has counted its tokens.
 *
 * A token of text is at least one byte, so a prompt has at most as many tokens as bytes, and what
 * the chat template adds. What a template adds is not known here, so that part is only an
 * allowance: once a backend has counted the prompt, a reservation that is too small grows, or the
 * request ends before its first token. A prompt and its answer never have more tokens than the
 * model's context, and that needs no allowance.
 */
import type { ChatRequest } from '#shared/api/chat-request.ts';
import { utf8Bytes } from '#shared/api/context-length.ts';
import { lesser } from '#shared/line/order.ts';
import { promptDigest } from '../request/prompt-digest.ts';
import { isOnlyHelpful, type PoolMember } from './pool-member.ts';

/** For the system prompt that many templates write of their own. */
const TEMPLATE_TOKENS = 64;
/** For the role and the marks around each message. */
const MESSAGE_TOKENS = 16;

export type Cost = {
  /** What is served under this name; 'unknown' if nothing is, so that no client fills our books. */
  model: string;
  /** The most tokens of the prompt. */
  prompt: number;
  /** The most tokens of prompt and answer together. */
  total: number;
  /** The most tokens of both that the model takes. */
  context: number;
  /** The most tokens of the answer. */
  answer: number;
  /** A digest of the prompt as a reader sees it. */
  digest: string;
};

export async function costOf(
  { model, messages, max_tokens, max_completion_tokens }: ChatRequest,
  { members, maxTokensOfPolicy }: { members: readonly PoolMember[]; maxTokensOfPolicy: number | null },
): Promise<Cost> {
  const serving = members.filter((member) => member.model === model && !isOnlyHelpful(member));
  const context = Math.max(0, ...serving.map(({ contextLength }) => contextLength));
  const bytes = utf8Bytes(messages.map(({ content }) => content));
  const prompt = Math.min(context, bytes + TEMPLATE_TOKENS + MESSAGE_TOKENS * messages.length);
  const asked = lesser(max_tokens ?? null, max_completion_tokens ?? null);
  const answer = Math.min(context, lesser(asked, maxTokensOfPolicy) ?? context);
  return {
    model: serving.length > 0 ? model : 'unknown',
    prompt,
    answer,
    context,
    total: Math.min(context, prompt + answer),
    digest: await promptDigest(messages),
  };
}
