/**
 * What a model's reward and cost heads make of an answer, asked of a backend that has them. The
 * backend reads prompt and answer, so it costs the tenant their tokens, also if the client does not
 * wait for the verdict: the heads read to the end, and only their answer says how much that was.
 */
import * as z from 'zod';
import { ChatRequest } from '#shared/api/chat-request.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { repaired } from '#shared/api/well-formed.ts';
import { SCORE_PATH, ScoreAnswer, type ScoreRequest, scoreKey, signScoreOrder } from '#shared/protocol/score.ts';
import type { AppContext } from '../request/context.ts';
import { allowedMembers } from './allowed.ts';
import { askOneOf } from './ask-one-of.ts';
import type { BackendPool, PoolMember } from './backend-pool.ts';
import type { MeterEnv } from './limits.ts';
import { costOf } from './limits-cost.ts';
import { poolMembers } from './pool-members.ts';
import { unknownModel } from './served-models.ts';

export const ScoreBody = z.strictObject({
  model: ChatRequest.shape.model,
  messages: ChatRequest.shape.messages.describe('the prompt'),
  answer: repaired,
});
export type ScoreBody = z.infer<typeof ScoreBody>;

export const ScoreReport = z.strictObject({
  object: z.literal('score'),
  model: z.string(),
  bundle: z.string().describe('which weights have judged'),
  reward: z.number().describe('how helpful the answer is; larger is better'),
  cost: z.number().describe('how harmful it is; below 0 means safe'),
  tokens: z.int().describe('what it costs: those of prompt and answer'),
});

/** The first use of the heads loads them, which takes as long as loading the model does. */
const TIMEOUT_MS = 120_000;

type Metered = Pick<AppContext<MeterEnv>, 'env' | 'var' | 'req' | 'executionCtx'>;

export async function scoreAnswer(asked: ScoreBody, { c, pool }: { c: Metered; pool: BackendPool }) {
  const { caller, meter, requestId, config } = c.var;
  const { model, messages, answer } = asked;
  const members = allowedMembers(await poolMembers(pool, c, { model }), caller.policy, model);
  const able = membersWithHeads(members, model);
  const conversation = [...messages, { role: 'assistant' as const, content: answer }];
  // Nothing is drawn.
  const whole = { model, messages: conversation, max_tokens: 0 };
  await meter.reserve(await costOf(whole, { members, maxTokensOfPolicy: null }));
  const body = JSON.stringify({ model, messages, answer } satisfies ScoreRequest);
  const key = await scoreKey(config.directiveKey);
  const judged = askOneOf(able, {
    path: SCORE_PATH,
    body,
    answer: ScoreAnswer,
    sign: (order) => signScoreOrder(order, key),
    trace: c.var.trace,
    request: requestId,
    tenant: caller.tenant,
    client: c.req.raw.signal,
    timeoutMs: TIMEOUT_MS,
  });
  // Else the runtime may end the request with its client, before it is settled.
  c.executionCtx.waitUntil(judged.catch(() => undefined));
  const found = await judged;
  await meter.promptCounted(found.tokens);
  const { bundle, reward, cost, tokens } = found;
  return { object: 'score' as const, model, bundle, reward, cost, tokens };
}

function membersWithHeads(members: readonly PoolMember[], model: string): PoolMember[] {
  const serving = members.filter((member) => member.model === model);
  if (serving.length === 0) throw unknownModel(model, members);
  const able = serving.filter(({ scores }) => scores === true);
  if (able.length > 0) return able;
  throw new PlimsollError(
    'unsupported_value',
    `No backend of '${model}' has reward and cost heads. 'plimsoll train export --scores' puts them into a bundle.`,
    { param: 'model' },
  );
}
