/**
 * A stored answer with its trace, replayed under a version of the tenant's policy: the first token
 * at which it could have made a difference (policies/replay.ts). The receipt says under which line
 * the answer came, so it has to be genuine, and belong to this very request and answer.
 */
import * as z from 'zod';
import { secondLookOf } from '#policies/compile.ts';
import { effectivePolicy, type Level } from '#policies/effective.ts';
import { explain } from '#policies/explain.ts';
import { type Replay, replay } from '#policies/replay.ts';
import { LOOSEST } from '#policies/schema.ts';
import { FinishReason } from '#shared/api/chat-answer.ts';
import { parseChatRequest } from '#shared/api/chat-request.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseExactly } from '#shared/api/parse-exactly.ts';
import { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { lesser } from '#shared/line/order.ts';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import { classifyText, WORK_BETWEEN_PAUSES } from '../gateway/classify-text.ts';
import { createPacer } from '../gateway/pace.ts';
import type { PoolMember } from '../gateway/pool-member.ts';
import type { AppContext } from '../request/context.ts';
import type { StandingEnv } from './trials.ts';

export const ReplayBody = z.strictObject({
  request: z.string().describe('the JSON of the request, as it was sent'),
  answer: z.string().describe('the JSON of its answer, with the trace `tokens`; with `top`, more can be told'),
});

const Difference = z.strictObject({ token: z.int(), why: z.string() }).nullable();

export const ReplayAnswer = z.strictObject({
  object: z.literal('policy.replay'),
  version: z.string().describe("of the effective policy: all levels' joined"),
  tokens: z.int().describe('how many tokens the answer has'),
  could: Difference.describe('the first token, from 0, that could have been another one; null: none'),
  surely: Difference.describe('the first token that surely is drawn from another distribution'),
  exact: z.boolean().describe('whether both are the same: the trace tells where'),
  redraws: z
    .boolean()
    .describe('another line has another draw key, so asking again gives another sample from the start'),
  before: z.unknown().describe('the line that was held'),
  after: z.unknown().describe('the line under this version; null: it refuses'),
  notes: z.array(z.string()),
});

const Stored = z.object({
  choices: z.tuple([z.object({ message: z.object({ content: z.string() }), finish_reason: FinishReason })]),
  plimsoll: z.object({
    receipt: z.string(),
    tokens: z.array(TokenTrace).optional(),
  }),
});

/** Which weights a backend serves, and whether they have a probe. */
export type Probed = Pick<PoolMember, 'bundle' | 'secondLook'>;

export async function replayAnswer(
  body: z.infer<typeof ReplayBody>,
  { c, classifier, members }: { c: AppContext<StandingEnv>; classifier: Classifier; members: readonly Probed[] },
) {
  const chat = parseChatRequest(parsed(body.request, 'request'));
  const answer = storedIn(body.answer);
  const receipt = await genuineReceipt(body.request, answer, c);
  const tokens = answer.plimsoll.tokens ?? [];
  if (tokens.length !== receipt.usage.completion_tokens) {
    throw wrong(
      `found ${tokens.length} tokens in plimsoll.tokens, wanted all ${receipt.usage.completion_tokens} of the answer: ask with "plimsoll": {"trace": "tokens"}`,
    );
  }
  refuseOtherSums(tokens, receipt);
  const levels = withRequest(c.var.levels, chat.plimsoll);
  const { policy, version } = await effectivePolicy(levels);
  const text = chat.messages.map(({ content }) => content).join('\n');
  const { signals } = await classifyText(classifier, text, createPacer({ most: WORK_BETWEEN_PAUSES }));
  const mode = chat.plimsoll?.mode;
  const { verdict } = await explain(levels, signals, {
    ...(mode != null && { mode }),
    backend: receipt.second_look?.categories ?? null,
  });
  const asked = lesser(chat.max_tokens ?? null, chat.max_completion_tokens ?? null);
  const maxTokens = lesser(asked, policy.limits.max_tokens);
  const line = verdict.action === 'answer' ? verdict.line : null;
  const { sampling } = receipt;
  const found = replay(
    {
      tokens,
      line: receipt.line,
      temperature: sampling?.temperature ?? 1,
      isCut: sampling === null || sampling.top_p < 1 || sampling.top_k > 0 || sampling.min_p > 0,
      finish: receipt.finish_reason,
      asked,
    },
    line && { line, maxTokens },
  );
  const blind = isBlind(receipt, { asksForLook: secondLookOf(policy) !== null, members });
  const isOther = line !== null && canonicalJson(line) !== canonicalJson(receipt.line);
  return {
    object: 'policy.replay' as const,
    version,
    tokens: tokens.length,
    ...(blind ? unseen(found) : found),
    redraws: isOther && sampling?.temperature !== 0,
    before: receipt.line,
    after: line,
    notes: classifier.version === receipt.classifier ? [] : [OTHER_CLASSIFIER],
  };
}

/** A receipt has no numbers of single tokens, but what they sum up to. */
const ROUNDING = 1e-6;

function refuseOtherSums(tokens: readonly z.infer<typeof TokenTrace>[], { weights, spent }: Receipt): void {
  if (tokens.length === 0) return;
  const used = tokens.map(({ weight }) => weight);
  const mean = used.reduce((sum, weight) => sum + weight, 0) / used.length;
  const isNear = (a: number, b: number) => Math.abs(a - b) <= ROUNDING * Math.max(1, Math.abs(a), Math.abs(b));
  const last = tokens.at(-1)?.spent ?? null;
  const hold =
    isNear(Math.min(...used), weights.min) &&
    isNear(Math.max(...used), weights.max) &&
    isNear(mean, weights.mean) &&
    (last === null || spent === null ? last === spent : isNear(last, spent));
  if (!hold) throw wrong('the weights and the spending in plimsoll.tokens are not those of its receipt');
}

const OTHER_CLASSIFIER =
  "another classifier read the prompt then, so a difference may be the classifier's and not the policy's";

/**
 * Whether the policy asks for a second look that was not taken then. Weights whose backends have no
 * probe take none under any policy.
 */
function isBlind(
  { second_look, bundle }: Receipt,
  { asksForLook, members }: { asksForLook: boolean; members: readonly Probed[] },
): boolean {
  if (second_look !== null || !asksForLook) return false;
  return !members.some((member) => member.bundle === bundle && member.secondLook === null);
}

/** What a second look finds can refuse or tighten, so every token could be another one. */
function unseen(found: Replay): Replay {
  const could = { token: 0, why: 'the policy asks for a second look, and none was taken of this prompt' };
  return { ...found, could, exact: found.surely?.token === 0 };
}

function withRequest(levels: readonly Level[], extension: ReturnType<typeof parseChatRequest>['plimsoll']): Level[] {
  const { floor, budget } = extension ?? {};
  if (floor == null && budget == null) return [...levels];
  const policy = { ...LOOSEST, floor: floor ?? LOOSEST.floor, budget: budget ?? LOOSEST.budget };
  return [...levels, { level: 'request', version: null, policy, problem: null }];
}

async function genuineReceipt(
  request: string,
  { choices: [{ message }], plimsoll }: z.infer<typeof Stored>,
  c: AppContext<StandingEnv>,
): Promise<Receipt> {
  const found = await inspectReceipt(plimsoll.receipt, {
    jwks: c.var.config.receiptJwks,
    prompt: request,
    answer: message.content,
  });
  const { receipt, kind, genuine, checks } = found;
  const failed = checks.filter(({ verdict }) => verdict === 'fails').map(({ name, detail }) => `${name}: ${detail}`);
  if (!genuine || receipt === null || kind !== 'answer') {
    throw wrong(`its receipt does not hold (${failed.join('; ') || 'it is not for an answer'})`);
  }
  // Only a refusal's receipt is of the other kind.
  const own = receipt as Receipt;
  if (own.tenant !== c.var.access.tenant) throw wrong('it is the answer to another tenant');
  return own;
}

function storedIn(text: string): z.infer<typeof Stored> {
  const stored = Stored.safeParse(parsed(text, 'answer'));
  if (stored.success) return stored.data;
  throw wrong(`not a stored chat completion: ${z.prettifyError(stored.error).replaceAll(/\s+/g, ' ').slice(0, 300)}`);
}

function parsed(text: string, param: 'request' | 'answer'): unknown {
  try {
    return parseExactly(text);
  } catch (cause) {
    throw new PlimsollError('invalid_value', `'${param}' is not JSON.`, { param, cause });
  }
}

const wrong = (why: string) =>
  new PlimsollError('invalid_value', `'answer' cannot be replayed: ${why}.`, { param: 'answer' });
