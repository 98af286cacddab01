/**
 * The most that a request can cost, before any backend has counted its tokens.
 *
 * A token of text is at least one byte, so a prompt has at most as many tokens as bytes, and what
 * the chat template adds. What a template adds is not known here, so that part is only an
 * allowance: once a backend has counted the prompt, a reservation that is too small grows, or the
 * request ends before its first token. A prompt and its answer never have more tokens than the
 * model's context, and that needs no allowance.
 */
import { offeredTools } from '#shared/api/chat-tools.ts';
import { utf8Bytes } from '#shared/api/context-length.ts';
import type { Tool } from '#shared/api/tool-calls.ts';
import { lesser } from '#shared/line/order.ts';
import { type Asked, mostTokensAsked } from '#shared/protocol/generate-body.ts';
import { promptBytes } from '#shared/protocol/prompt-texts.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { promptDigest } from '../request/prompt-digest.ts';
import { isOnlyHelpful, type PoolMember } from './pool-member.ts';

/** For the system prompt that many templates write of their own. */
const TEMPLATE_TOKENS = 64;
/** For the role and the marks around each message. */
const MESSAGE_TOKENS = 16;

/** What a request for a model that nobody serves is booked under. */
export const NO_MODEL = 'unknown';

export type Cost = {
  /** What is served under this name; `NO_MODEL` if nothing is: no client fills our books. */
  model: string;
  /** The most tokens of the prompt. */
  prompt: number;
  /** The most tokens of prompt and answers together. */
  total: number;
  /** The most tokens of both that the model takes. */
  context: number;
  /** The most tokens of all answers. */
  answer: number;
  /** A digest of the prompt as a reader sees it. */
  digest: string;
  /** How many answers are drawn to it, which are as many tries. */
  tries: number;
};

export async function costOf(
  asked: Asked,
  { members, maxTokensOfPolicy }: { members: readonly PoolMember[]; maxTokensOfPolicy: number | null },
): Promise<Cost> {
  const { model, messages, prompt: raw } = asked;
  const serving = members.filter((member) => member.model === model && !isOnlyHelpful(member));
  const longest = Math.max(0, ...serving.map(({ contextLength }) => contextLength));
  const bytes = offeredTools(asked).reduce((sum, tool) => sum + toolBytes(tool), promptBytes({ messages }));
  const most = Array.isArray(raw) ? raw.length : bytes + TEMPLATE_TOKENS + MESSAGE_TOKENS * messages.length;
  const prompt = Math.min(longest, most);
  const one = Math.min(longest, lesser(mostTokensAsked(asked), maxTokensOfPolicy) ?? longest);
  const tries = asked.n ?? 1;
  // Each answer fits into the context with the prompt, which is read once.
  const others = (tries - 1) * one;
  return {
    model: serving.length > 0 ? model : NO_MODEL,
    prompt,
    answer: one + others,
    context: longest + others,
    total: Math.min(longest, prompt + one) + others,
    digest: await promptDigest(messages),
    tries,
  };
}

/** What several prompts of one request can cost together. */
export async function costOfAll(costs: readonly Cost[]): Promise<Cost> {
  const [first] = costs;
  if (first === undefined) throw new Error('found no prompt');
  if (costs.length === 1) return first;
  const sum = (part: 'prompt' | 'total' | 'context' | 'answer' | 'tries') =>
    costs.reduce((all, cost) => all + cost[part], 0);
  return {
    model: first.model,
    prompt: sum('prompt'),
    total: sum('total'),
    context: sum('context'),
    answer: sum('answer'),
    digest: await sha256Hex(JSON.stringify(costs.map(({ digest }) => digest))),
    tries: sum('tries'),
  };
}

/** Llama's template writes a tool with an indent of four spaces, so that is the most. */
function toolBytes({ name, description = '', parameters = '{}' }: Tool): number {
  const schema: unknown = JSON.parse(parameters);
  const shown = { type: 'function', function: { name, description, parameters: schema } };
  return utf8Bytes([JSON.stringify(shown, null, 4)]);
}
