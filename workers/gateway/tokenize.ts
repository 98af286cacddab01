/**
 * `POST /tokenize` and `POST /detokenize`, as vLLM has them. The tokenizer is the backend's, which
 * works on a signed order. No token is drawn, so none is charged; the request counts against the
 * limits on requests, and where there is none, against a bound of the isolate (free-work.ts).
 */
import type * as z from 'zod';
import { toldTools } from '#shared/api/chat-tools.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import {
  type DetokenizeAnswer,
  DetokenizeRequest,
  parseTokenizeRequest,
  type TokenizeAnswer,
  type TokenizeRequest,
} from '#shared/api/tokenize.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import {
  Detokenized,
  signTokenizeOrder,
  TOKENIZE_PATH,
  type TokenizerWork,
  Tokens,
  tokenizeKey,
} from '#shared/protocol/tokenize.ts';
import type { AppContext } from '../request/context.ts';
import { parseJson } from '../request/read-body.ts';
import { allowedMembers } from './allowed.ts';
import { askOneOf } from './ask-one-of.ts';
import type { BackendPool, PoolMember } from './backend-pool.ts';
import type { FreeWork } from './free-work.ts';
import type { MeterEnv } from './limits.ts';
import { isOnlyHelpful } from './pool-member.ts';
import { poolMembers } from './pool-members.ts';
import { membersServing, servedModels } from './served-models.ts';

const TIMEOUT_MS = 30_000;

export function tokenize(pool: BackendPool, free: FreeWork) {
  return async (c: AppContext<MeterEnv>): Promise<Response> => {
    const asked = parseTokenizeRequest(parseJson(c.var.body));
    const { model, members } = await membersFor(asked.model ?? null, { c, pool });
    const { ids, strings, context_length } = await work(c, {
      free,
      members,
      asked: workOf(asked, model),
      answer: Tokens,
    });
    return c.json({
      count: ids.length,
      max_model_len: context_length,
      tokens: ids,
      token_strs: strings,
    } satisfies TokenizeAnswer);
  };
}

export function detokenize(pool: BackendPool, free: FreeWork) {
  return async (c: AppContext<MeterEnv>): Promise<Response> => {
    const { tokens, ...asked } = parseRequest(DetokenizeRequest, parseJson(c.var.body));
    const { model, members } = await membersFor(asked.model ?? null, { c, pool });
    const asIds: TokenizerWork = { kind: 'ids', model, ids: tokens };
    const { text } = await work(c, { free, members, asked: asIds, answer: Detokenized });
    return c.json({ prompt: text } satisfies DetokenizeAnswer);
  };
}

function workOf(asked: TokenizeRequest, model: string): TokenizerWork {
  const common = { model, special: asked.add_special_tokens, strings: asked.return_token_strs };
  if ('prompt' in asked) return { ...common, kind: 'text', text: asked.prompt };
  const tools = toldTools(asked);
  return {
    ...{ ...common, kind: 'chat', messages: asked.messages, generation_prompt: asked.add_generation_prompt },
    // Backends of earlier versions know none.
    ...(tools.length > 0 && { tools }),
  };
}

/**
 * The backends of a model, and its name: a request may leave it out where the tenant has only one.
 * Members of the helpfulness pool may be other people's, so none of them sees a prompt for this.
 */
async function membersFor(
  named: string | null,
  { c, pool }: { c: AppContext<MeterEnv>; pool: BackendPool },
): Promise<{ model: string; members: PoolMember[] }> {
  const all = await poolMembers(pool, c, named === null ? {} : { model: named });
  const members = allowedMembers(all, c.var.caller.policy, named ?? undefined).filter((one) => !isOnlyHelpful(one));
  const model = named ?? onlyModel(members);
  return { model, members: membersServing(members, model) };
}

function onlyModel(members: readonly PoolMember[]): string {
  const [first, ...others] = servedModels(members);
  if (first !== undefined && others.length === 0) return first.id;
  const known = [first, ...others].flatMap((one) => (one === undefined ? [] : `'${one.id}'`));
  throw new PlimsollError(
    'missing_required_parameter',
    `Missing required field 'model': expected ${known.length === 0 ? 'a string' : known.join(' or ')}.`,
    { param: 'model' },
  );
}

async function work<Answer>(
  c: AppContext<MeterEnv>,
  {
    free,
    members,
    asked,
    answer,
  }: { free: FreeWork; members: readonly PoolMember[]; asked: TokenizerWork; answer: z.ZodType<Answer> },
): Promise<Answer> {
  const { caller, meter, requestId, config } = c.var;
  free(caller);
  // Nothing is sent to a model here, so this is no try of any prompt.
  const digest = await sha256Hex(requestId);
  await meter.reserve({ model: asked.model, prompt: 0, total: 0, context: 0, answer: 0, digest, tries: 1 });
  const key = await tokenizeKey(config.directiveKey);
  const found = await askOneOf(members, {
    path: TOKENIZE_PATH,
    body: JSON.stringify(asked),
    answer,
    sign: (order) => signTokenizeOrder(order, key),
    trace: c.var.trace,
    request: requestId,
    tenant: caller.tenant,
    client: c.req.raw.signal,
    timeoutMs: TIMEOUT_MS,
  });
  // Only now: whoever gets an answer is in the books.
  await meter.promptCounted(0);
  return found;
}
