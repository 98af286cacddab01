/**
 * One answer of an edge under one version. It counts against the tenant's limits like any other, so
 * it waits where they say so. The numbers come from the receipt, which every answer has.
 */
import { decodeJwt } from 'jose';
import * as z from 'zod';
import { Receipt } from '#shared/protocol/receipt.ts';
import type { Outcome } from './outcome.ts';
import type { Messages } from './read-prompts.ts';

/** Where an edge is, and how to post to a route below its `/admin/v1`. */
export type EdgePost = { url: string; post: (route: string, body: object, signal: AbortSignal) => Promise<Response> };

export type AskSettings = {
  tenant: string;
  model: string;
  maxTokens: number;
  seed: number;
  temperature: number | undefined;
};

/** How often to ask again where nobody says when it helps. */
const MOST_RETRIES = 8;
/** The longest that one wait is. A day's budget comes back much later. */
const MOST_WAIT_S = 90;

const Failure = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    plimsoll: z.object({ receipt: z.string().optional() }).optional(),
  }),
});
const Answer = z.object({
  choices: z.tuple([z.object({ message: z.object({ content: z.string().nullable() }), finish_reason: z.string() })]),
  plimsoll: z.object({ receipt: z.string(), drawn_text: z.string().optional() }),
});
const Scored = z.object({ reward: z.number(), cost: z.number(), bundle: z.string() });

const NOTHING_DRAWN = {
  tokens: 0,
  floor: null,
  budget: null,
  weights: null,
  spent: null,
  scores: null,
  unscored: null,
};

export async function askEdge(
  { version, messages }: { version: string; messages: Messages },
  { edge, settings, signal }: { edge: EdgePost; settings: AskSettings; signal: AbortSignal },
): Promise<Outcome> {
  const { tenant, model, maxTokens: max_tokens, seed, temperature } = settings;
  const body = { model, messages, max_tokens, seed, ...(temperature !== undefined && { temperature }) };
  const json = await patiently(edge, `tenants/${tenant}/policies/${version}/try`, { body, signal });
  const failure = Failure.safeParse(json);
  if (failure.success) {
    const { code, message, plimsoll } = failure.data.error;
    const kind = code === 'policy_refused' ? 'refused' : 'failed';
    const text = kind === 'refused' ? message : `${code}: ${message}`;
    return { kind, text, ...NOTHING_DRAWN, receipt: plimsoll?.receipt ?? null };
  }
  const answer = Answer.safeParse(json);
  if (!answer.success) {
    const text = `not an answer: ${z.prettifyError(answer.error).replaceAll(/\s+/g, ' ').slice(0, 200)}`;
    return { kind: 'failed', text, ...NOTHING_DRAWN, receipt: null };
  }
  const { choices, plimsoll } = answer.data;
  const [{ message, finish_reason }] = choices;
  const { iss: _iss, iat: _iat, ...claims } = decodeJwt(plimsoll.receipt);
  const { line, weights, spent, usage } = Receipt.parse(claims);
  const isRefused = finish_reason === 'content_filter';
  return {
    kind: isRefused ? 'refused' : 'answered',
    text: plimsoll.drawn_text ?? message.content ?? '',
    ...NOTHING_DRAWN,
    tokens: usage.completion_tokens,
    ...(!isRefused && { floor: line.floor, budget: line.budget, weights, spent }),
    receipt: plimsoll.receipt,
  };
}

/**
 * What the heads make of an answer, or why they do not say. null: the model that answers has none.
 * Throws only where no other answer could be scored either.
 */
export async function scoreAt(
  { messages, answer }: { messages: Messages; answer: string },
  { edge, settings, signal }: { edge: EdgePost; settings: AskSettings; signal: AbortSignal },
): Promise<Pick<Outcome, 'scores' | 'unscored'> | null> {
  const { tenant, model } = settings;
  const json = await patiently(edge, `tenants/${tenant}/score`, { body: { model, messages, answer }, signal });
  const failure = Failure.safeParse(json);
  if (failure.success) {
    const { code, message } = failure.data.error;
    return code === 'unsupported_value' ? null : { scores: null, unscored: `${code}: ${message}` };
  }
  const scored = Scored.safeParse(json);
  if (scored.success) return { scores: scored.data, unscored: null };
  return { scores: null, unscored: `${edge.url} gives no scores: ${JSON.stringify(json)?.slice(0, 100)}` };
}

/** Waits and asks again where that helps: a limit of the minute, or a backend that comes back. */
async function patiently(
  edge: EdgePost,
  route: string,
  { body, signal }: { body: object; signal: AbortSignal },
): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    const answer = await edge.post(route, body, signal);
    const json = await jsonOf(answer);
    const failure = Failure.safeParse(json);
    if (!failure.success) return json;
    const { code, message } = failure.data.error;
    if (answer.status === 401 || answer.status === 404 || code === 'permission_denied' || code === 'tenant_suspended') {
      throw new Error(`${edge.url} refuses (${code}): ${message}`);
    }
    if (code === 'insufficient_quota') {
      throw new Error(`${message}\n  start it again later, and it goes on from here`);
    }
    const waitS = Number(answer.headers.get('retry-after') ?? 0);
    const isLimited = code === 'rate_limit_exceeded';
    const isWorthIt = (isLimited && waitS > 0) || tries <= MOST_RETRIES;
    if (!((isLimited || answer.status === 503) && isWorthIt)) return json;
    await pause(Math.min(Math.max(waitS, 1), MOST_WAIT_S) * 1000, signal);
  }
}

/** Rejects with the signal's reason as soon as it is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

/** What is not JSON, as of a proxy between, is a failure like others. */
async function jsonOf(answer: Response): Promise<unknown> {
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    return { error: { code: `status ${answer.status}`, message: text.slice(0, 100) } };
  }
}
