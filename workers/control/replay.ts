/**
 * A stored answer with its trace, replayed under a version of the tenant's policy: the first token
 * at which it could have made a difference (policies/replay.ts). The receipt says under which line
 * the answer came, so it has to be genuine, and belong to this very request and answer.
 */
import * as z from 'zod';
import { compile, secondLookOf } from '#policies/compile.ts';
import { effectivePolicy, type Level } from '#policies/effective.ts';
import { replay, unseenFrom } from '#policies/replay.ts';
import { LOOSEST, type Policy } from '#policies/schema.ts';
import { ChatFinishReason } from '#shared/api/chat-answer.ts';
import { parseChatRequest } from '#shared/api/chat-request.ts';
import { offeredTools } from '#shared/api/chat-tools.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseExactly } from '#shared/api/parse-exactly.ts';
import { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { effectiveFloor } from '#shared/gate/effective-weight.ts';
import type { Line } from '#shared/line/line.ts';
import { lesser } from '#shared/line/order.ts';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { promptTexts } from '#shared/protocol/prompt-texts.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import { lineAfterLook } from '#shared/protocol/second-look.ts';
import { digestOfSignedLine, type SignedLine } from '#shared/protocol/signed-line.ts';
import { classifyText, WORK_BETWEEN_PAUSES } from '../gateway/classify-text.ts';
import { createPacer } from '../gateway/pace.ts';
import { isOnlyHelpful, type PoolMember } from '../gateway/pool-member.ts';
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
  unknown: Difference.describe('the first token of which the trace does not tell; null: there is none'),
  exact: z.boolean().describe('whether nothing is unknown, so that `could` and `surely` are the same'),
  redraws: z
    .boolean()
    .nullable()
    .describe(
      'whether the draws have another key under this version, so that asking again gives another sample from the start; null: the receipt does not tell',
    ),
  before: z.unknown().describe('the line that was held'),
  after: z.unknown().describe('the line under this version; null: it refuses'),
  notes: z.array(z.string()),
});

const Stored = z.object({
  choices: z.tuple([
    z.object({ message: z.object({ content: z.string().nullable() }), finish_reason: ChatFinishReason }),
  ]),
  plimsoll: z.object({
    receipt: z.string(),
    drawn_text: z.string().optional(),
    tokens: z.array(TokenTrace).optional(),
  }),
});

/** Which weights a backend serves, and whether they have a probe. */
export type Probed = Pick<PoolMember, 'bundle' | 'secondLook' | 'serves' | 'modes'>;

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
  refuseOtherNumbers(tokens, receipt);
  const levels = withRequest(c.var.levels, chat.plimsoll);
  const { policy, version } = await effectivePolicy(levels);
  const text = promptTexts({ messages: chat.messages, tools: offeredTools(chat) }).join('\n');
  const { signals } = await classifyText(classifier, text, createPacer({ most: WORK_BETWEEN_PAUSES }));
  const verdict = compile(policy, signals, { mode: chat.plimsoll?.mode ?? 'logits' });
  const signed = verdict.action === 'answer' ? signedLine(verdict.line, { policy, receipt, members }) : null;
  const line = signed && lineHeld(signed, receipt);
  const asked = lesser(chat.max_tokens ?? null, chat.max_completion_tokens ?? null);
  const maxTokens = lesser(asked, policy.limits.max_tokens);
  const { sampling } = receipt;
  const found = replay(
    {
      tokens,
      line: receipt.line,
      temperature: sampling?.temperature ?? chat.temperature ?? 1,
      isCut: sampling === null || sampling.top_p < 1 || sampling.top_k > 0 || sampling.min_p > 0,
      isReshaped: sampling?.repetition_penalty !== 1 || receipt.top_k !== null,
      isAccounted: receipt.ran.safety === receipt.usage.completion_tokens,
      finish: receipt.finish_reason,
      asked,
      limit: receipt.max_tokens,
    },
    line && { line, maxTokens },
  );
  const isBlind = line !== null && signed?.second_look != null && receipt.second_look === null;
  return {
    object: 'policy.replay' as const,
    version,
    tokens: tokens.length,
    ...(isBlind ? unseenFrom(UNSEEN, found) : found),
    redraws: signed === null || line === null || sampling?.temperature === 0 ? false : await isRedrawn(signed, receipt),
    before: receipt.line,
    after: line,
    notes: notesOn(receipt, { classifier, members }),
  };
}

/**
 * What the edge would sign for a backend. A backend without a probe gets no rules for a second
 * look, so weights whose backends have none take none under any policy.
 */
function signedLine(
  line: Line,
  { policy, receipt, members }: { policy: Policy; receipt: Receipt; members: readonly Probed[] },
): SignedLine {
  const { bundle, second_look } = receipt;
  const hasNoProbe = second_look === null && probesOf(bundle, members).includes(null);
  return { line, second_look: hasNoProbe ? null : secondLookOf(policy) };
}

/**
 * Of the backends of these weights, their probes. Those of the helpfulness pool are never asked for
 * a look, so that they have none says nothing.
 */
function probesOf(bundle: string, members: readonly Probed[]): PoolMember['secondLook'][] {
  const asked = members.filter((member) => member.bundle === bundle && !isOnlyHelpful(member));
  return asked.map(({ secondLook }) => secondLook);
}

/** The line after what the second look has found then; null if it refuses. */
function lineHeld({ line, second_look: rules }: SignedLine, { second_look: found }: Receipt): Line | null {
  if (rules === null || found === null) return line;
  const after = lineAfterLook(line, rules, found.categories);
  return after.refused ? null : after.line;
}

/**
 * Whether the draws have another key; null if that cannot be told. An older receipt has only the
 * line that was held, and whether there were rules for a second look, but not which.
 */
async function isRedrawn(
  signed: SignedLine,
  { signed_line, line, second_look: found }: Receipt,
): Promise<boolean | null> {
  if (signed_line !== undefined) return (await digestOfSignedLine(signed)) !== signed_line;
  if ((found === null) !== (signed.second_look === null)) return true;
  const isOther = canonicalJson(signed.line) !== canonicalJson(line);
  if (found === null) return isOther;
  return isOther && !found.tightened ? true : null;
}

/** A receipt has no numbers of single tokens, but their line and what they sum up to. */
const ROUNDING = 1e-6;

function refuseOtherNumbers(tokens: readonly z.infer<typeof TokenTrace>[], { line, weights, spent }: Receipt): void {
  if (tokens.length === 0) return;
  const isHeld = tokens.every(
    ({ floor, weight }, position) => floor === effectiveFloor(line, { position }) && weight >= floor,
  );
  if (!isHeld) throw wrong('the floors in plimsoll.tokens are not those of the line in its receipt');
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

const UNSEEN = 'the policy asks for a second look, and none was taken of this prompt';

function notesOn(
  { bundle, classifier: version, second_look }: Receipt,
  { classifier, members }: { classifier: Classifier; members: readonly Probed[] },
): string[] {
  const probes = probesOf(bundle, members);
  const isOtherProbe = second_look !== null && probes.length > 0 && !probes.includes(second_look.version);
  return [...(classifier.version === version ? [] : [OTHER_CLASSIFIER]), ...(isOtherProbe ? [OTHER_PROBE] : [])];
}

const OTHER_PROBE = 'another probe took the second look then, and what it found is used here';

const OTHER_CLASSIFIER =
  "another classifier read the prompt then, so a difference may be the classifier's and not the policy's";

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
    answer: plimsoll.drawn_text ?? message.content ?? '',
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
