/** `POST /v1/chat/completions`: the main path, top to bottom. */

import { refusalWords, type Verdict } from '#policies/compile.ts';
import { parseChatRequest } from '#shared/api/chat-request.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { CacheState } from '#shared/api/plimsoll-extension.ts';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import type { Line } from '#shared/line/line.ts';
import { AnswerAccount } from '#shared/protocol/answer-account.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { generateBody } from '#shared/protocol/generate-body.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { chooseStanding } from '../request/choose-standing.ts';
import type { Config } from '../request/config.ts';
import type { AppContext } from '../request/context.ts';
import { onAbort } from '../request/on-abort.ts';
import { parseJson } from '../request/read-body.ts';
import { report } from '../request/render-error.ts';
import { allowedMembers, allowedTrace, checkTop } from './allowed.ts';
import { demandShaping } from './allowed-shaping.ts';
import type { AnswerCache } from './answer-cache.ts';
import { type BegunAnswer, shadowOf } from './answer-extension.ts';
import type { Timeouts } from './attempt.ts';
import { type BackendPool, chooseBackends, type PoolMember, refuseTooLong } from './backend-pool.ts';
import { beginMixed } from './begin-mixed.ts';
import { callBackend } from './call-backend.ts';
import { checkReceipt } from './check-receipt.ts';
import { countShadow } from './count-shadow.ts';
import type { Decide } from './decide.ts';
import { createEdgeSigner, createMixedSigner, policyRefusal } from './edge-receipt.ts';
import { upgrade } from './expert-socket.ts';
import { frameKeyOf } from './frame-key.ts';
import { placeOf, regionOf } from './latency-class.ts';
import type { MeterEnv } from './limits.ts';
import { costOf } from './limits-cost.ts';
import { poolMembers } from './pool-members.ts';
import { type AnswerEvents, readAnswer } from './read-answer.ts';
import { refusalText } from './refusal-text.ts';
import { respond } from './respond.ts';
import { askAgain, mayAskAgain, resumeElsewhere } from './resume-elsewhere.ts';
import { toldAgain } from './told-again.ts';

/** Without `set`, a context that has room for more is one of these, too. */
type Metered = Pick<AppContext<MeterEnv>, 'env' | 'var' | 'req' | 'executionCtx'>;

export function chatCompletions({
  decide,
  pool,
  classifierVersion,
  timeouts,
  findAnswer,
}: {
  decide: Decide;
  pool: BackendPool;
  classifierVersion: string;
  timeouts: Timeouts;
  findAnswer: AnswerCache;
}) {
  const signerOf = createEdgeSigner();
  const signerOfMixed = createMixedSigner();
  const mixedSigner = async (config: Config) => (await signerOfMixed(config)) ?? refuseUnsigned();
  return async (c: Metered): Promise<Response> => {
    const { config, requestId, meter, trace: requestTrace } = c.var;
    const asked = parseJson(c.var.body);
    // A canary need not be asked: what shapes an answer is not supported yet, whatever a policy
    // says.
    demandShaping(asked, c.var.caller.policy);
    const chat = parseChatRequest(asked);
    const caller = await chooseStanding(c.var.caller, chat.messages, config.directiveKey);
    const extension = chat.plimsoll ?? {};
    const trace = allowedTrace(caller.policy, extension.trace);
    checkTop(caller.policy, extension, trace);
    const listMembers = async () => allowedMembers(await poolMembers(pool, c, chat), caller.policy, chat.model);
    const members = await listMembers();
    refuseTooLong(members, chat);
    const cost = await costOf(chat, { members, maxTokensOfPolicy: caller.policy.limits.max_tokens });
    // The account writes to disk. Meanwhile the prompt can be read.
    const reserved = meter.reserve(cost);
    const { decision, cache } = await decide(chat.messages, { caller, extension });
    await reserved;
    const { verdict } = decision;
    if (verdict.action === 'refuse') {
      const { messages } = chat;
      const text = refusalText(verdict.because, refusalWords(decision.policy, verdict.because));
      const sign = await signerOf(config);
      throw await policyRefusal({ ...verdict, text, messages, requestId, caller, classifierVersion, sign });
    }
    const line = lineOf(verdict);

    const { model, messages } = chat;
    const looks = decision.secondLook !== null;
    const { load } = pool;
    const from = regionOf(placeOf(c.req.raw));
    const choose = (among: readonly PoolMember[]) =>
      chooseBackends(among, { model, messages, mode: line.mode, looks, load, from });
    const candidates = choose(members);
    // The safety expert's word counts. The other pool may be other people's.
    const best = candidates.find(({ serves }) => line.mode !== 'edge' || serves.includes('safety'));
    const defaults = best?.sampling ?? PLAIN_SAMPLING;
    const maxTokensOfPolicy = decision.maxTokens;
    const seed = () => meter.seed ?? randomSeed();
    const request = generateBody(chat, { maxTokensOfPolicy, trace, defaults, seed });
    const body = JSON.stringify(request);
    const directive: Omit<Directive, 'id'> = {
      request: requestId,
      tenant: caller.tenant,
      key: caller.key,
      policy: caller.version,
      classifier: classifierVersion,
      digest: await sha256Hex(body),
      line,
      second_look: decision.secondLook,
      resume: null,
    };

    const headOf = (model: string, systemFingerprint: string) => ({
      id: requestId.replace(/^req_/, 'chatcmpl-'),
      created: Math.floor(Date.now() / 1000),
      model,
      system_fingerprint: systemFingerprint,
    });
    const extensionOf = (answer: CacheState) => ({
      policy: { tenant: caller.tenant, version: caller.version },
      classifier: classifierVersion,
      categories: decision.categories,
      unread: decision.unread,
      uncertain: decision.uncertain,
      cache: { route: cache, answer },
    });
    const client = new AbortController();
    const onError = (error: PlimsollError) => {
      // If the client has left, the failure is not our error.
      if (!client.signal.aborted) report(error, { request: requestId, trace: requestTrace.span.traceId });
    };

    const named = chat.seed ?? null;
    const seeds = { named, fixed: named ?? meter.seed };
    const found = await findAnswer(c, { caller, directive, request, seed: seeds, member: best });
    if ('begun' in found) {
      const onCancel = () => {
        found.leave();
        client.abort();
      };
      onAbort(c.req.raw.signal, onCancel);
      const sign = await signerOf(config);
      const again = found.begun.then(({ model, systemFingerprint, events }) => ({
        events: toldAgain(events, { how: found.state, directive, messages, sign, decided: decision }),
        head: headOf(model, systemFingerprint),
        decided: decision,
        extension: extensionOf(found.state),
      }));
      const begun = meter.follow(again, client.signal, { isFree: true });
      if (!found.isWaiting) await begun;
      const headers = { 'x-plimsoll-cache': found.state, age: String(Math.floor(found.ageMs / 1000)) };
      return respond(begun, { chat, trace, headers, onCancel, onError });
    }
    const { lead } = found;
    // Others may want the answer when this client has left.
    const onCancel = () => (lead === null ? client.abort() : lead.leave());
    void lead?.abandoned.then(() => client.abort());
    onAbort(c.req.raw.signal, onCancel);
    const waits = Promise.withResolvers<void>();
    let hasWaited = false;
    // The answer may go on after the request's own span has ended.
    const answered = requestTrace.hold();
    onAbort(client.signal, answered);
    const call = {
      requestId,
      trace: requestTrace,
      body,
      load,
      retries: pool.retries.of(caller.tenant),
      directive,
      directiveKey: config.directiveKey,
      signal: client.signal,
      timeouts,
      fetch: ((input, init) => fetch(input, init)) satisfies typeof globalThis.fetch,
      onWaiting: () => {
        hasWaited = true;
        waits.resolve();
        lead?.waits();
      },
      onOtherModel: pool.servesAnother,
    };
    const ask = (among: readonly PoolMember[]) => callBackend({ ...call, candidates: among, breaker: pool });
    const upstream =
      line.mode === 'edge'
        ? null
        : ask(candidates).catch((broken: unknown) => {
            // With its status, the client has been told to wait.
            if (!hasWaited || !mayAskAgain(broken)) throw broken;
            const again = async () => ask(choose(await listMembers()));
            return askAgain(again, { broken, signal: client.signal, patienceMs: timeouts.resumeMs });
          });
    const account = async () => new AnswerAccount(await frameKeyOf(config.directiveKey));
    const begin =
      upstream === null
        ? async () => {
            const mixing = { ...call, model, messages, mixing: config.mixing, pool, from, members: listMembers };
            return beginMixed({
              ...mixing,
              openSocket: upgrade,
              onEnd: (receipt) => countShadow(shadowOf(decision, receipt), directive),
              sign: await mixedSigner(config),
            });
          }
        : async () => {
            const first = await upstream;
            const events = readAnswer(first, {
              account: await account(),
              goOn: resumeElsewhere({ ...call, model, messages, from, pool, members: listMembers }),
              checkReceipt: async (seen, { member, start, directive }) => {
                // With other weights than when it was last heard, a backend may have another probe.
                const probe = start.bundle === member.bundle ? member.secondLook : null;
                const keys = { jwks: config.receiptJwks, directive, start, asked: request, probe };
                const receipt = await checkReceipt(seen, keys);
                countShadow(shadowOf(decision, receipt), directive);
                return receipt;
              },
            });
            return { start: first.start, events };
          };
    const begins = begin().then(async ({ start, events }): Promise<BegunAnswer> => {
      await meter.promptCounted(start.prompt_tokens).catch((thrown: unknown) => {
        lead?.giveUp();
        client.abort();
        throw thrown;
      });
      return {
        events: endedBy(events, answered),
        head: headOf(
          start.model,
          await fingerprint({
            bundle: start.bundle,
            draws: start.draws,
            tenant: caller.tenant,
            key: caller.key,
            policy: caller.version,
            classifier: classifierVersion,
          }),
        ),
        decided: decision,
        extension: extensionOf(found.state),
      };
    });
    const followed = meter.follow(begins, client.signal);
    const begun = lead === null ? followed : lead.share(followed);
    // Whoever reads the answer sees the error. If nobody reads it any more, nobody needs to see it.
    begun.catch(answered);
    // Until a backend has taken the request, or said that it waits there, an error can still set
    // the status.
    await Promise.race([begun, waits.promise]);

    return respond(begun, { chat, trace, headers: { 'x-plimsoll-cache': found.state }, onCancel, onError });
  };
}

/** The same events. `over` is called after the last, however they end. */
async function* endedBy(events: AnswerEvents, over: () => void): AnswerEvents {
  try {
    return yield* events;
  } finally {
    over();
  }
}

function lineOf(verdict: Exclude<Verdict, { action: 'refuse' }>): Line {
  if (verdict.action === 'answer') return verdict.line;
  throw new PlimsollError(
    'permission_denied',
    `'plimsoll.mode' "${verdict.mode}" is not allowed by the tenant's policy. Leave the field out or ask for "logits".`,
    { param: 'plimsoll.mode' },
  );
}

/** An answer without a receipt is worth nothing. */
function refuseUnsigned(): never {
  throw new PlimsollError(
    'unsupported_value',
    `This deployment cannot answer in the mode "edge", because it has no key to sign receipts with. Leave 'plimsoll.mode' out.`,
    { param: 'plimsoll.mode' },
  );
}

const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] as number;

/**
 * A digest of everything, apart from the request itself, that determines an answer's draws and
 * distributions.
 */
async function fingerprint(parts: Record<string, string | null>): Promise<string> {
  return `fp_${(await sha256Hex(JSON.stringify(parts))).slice(0, 10)}`;
}
