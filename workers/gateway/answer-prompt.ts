/**
 * Answers one prompt, whatever route it came by: who asks under which policy, what the prompt is,
 * the line, a backend or a kept answer, and the events of what comes back. The steps are apart
 * because a request may have several prompts: all of them are decided on before one is answered.
 */
import { refusalWords, type Verdict } from '#policies/compile.ts';
import { offeredTools } from '#shared/api/chat-tools.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { CacheState } from '#shared/api/plimsoll-extension.ts';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import type { Spelled } from '#shared/grammar/spelled-text.ts';
import type { Line } from '#shared/line/line.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { type Asked, generateBody } from '#shared/protocol/generate-body.ts';
import { type AskedGrammar, grammarOfChat } from '#shared/protocol/grammar-of-chat.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { chooseStanding } from '../request/choose-standing.ts';
import type { Config } from '../request/config.ts';
import type { AppContext } from '../request/context.ts';
import { onAbort } from '../request/on-abort.ts';
import type { Caller } from '../request/tenant-directory.ts';
import { allowedMembers, allowedTrace, checkTop } from './allowed.ts';
import { demandShaping } from './allowed-shaping.ts';
import type { AnswerCache } from './answer-cache.ts';
import { type BegunAnswer, shadowOf, type Trace } from './answer-extension.ts';
import type { Timeouts } from './attempt.ts';
import { type BackendPool, chooseBackends, type PoolMember, refuseTooLong } from './backend-pool.ts';
import { beginMixed } from './begin-mixed.ts';
import { callBackend } from './call-backend.ts';
import { createCheckGrammar } from './check-grammar.ts';
import { countShadow } from './count-shadow.ts';
import type { Decide } from './decide.ts';
import { createEdgeSigner, createMixedSigner, policyRefusal } from './edge-receipt.ts';
import { upgrade } from './expert-socket.ts';
import { frameKeyOf } from './frame-key.ts';
import { placeOf, regionOf } from './latency-class.ts';
import type { MeterEnv } from './limits.ts';
import { type Cost, costOf } from './limits-cost.ts';
import { demandMixable } from './mixable.ts';
import { isOnlyHelpful } from './pool-member.ts';
import { poolMembers } from './pool-members.ts';
import type { AnswerEvents } from './read-answer.ts';
import { readAnswers } from './read-answers.ts';
import { type ReadsTools, readsTools } from './read-tool-calls.ts';
import { refusalText } from './refusal-text.ts';
import { askAgain, mayAskAgain } from './resume-elsewhere.ts';
import { speakingMembers, syntaxOf } from './speaking-members.ts';
import { toldAgain } from './told-again.ts';

/** Without `set`, a context that has room for more is one of these, too. */
export type Metered = Pick<AppContext<MeterEnv>, 'env' | 'var' | 'req' | 'executionCtx'>;

type AnswererParts = {
  decide: Decide;
  pool: BackendPool;
  classifierVersion: string;
  timeouts: Timeouts;
  findAnswer: AnswerCache;
};

/** A prompt that may be asked, with the policy that decides about it. */
type Prepared = {
  asked: Asked;
  caller: Caller;
  trace: Trace;
  cost: Cost;
  members: PoolMember[];
  listMembers: () => Promise<PoolMember[]>;
  /** In which the model writes calls; null if the request offers no tools. */
  syntax: ToolSyntax | null;
  /** What the answer is held to, and what that can make it say. */
  grammar: AskedGrammar | null;
  spelled: Spelled;
  /** How the answer's calls are read; null: it can have none. */
  reads: ReadsTools | null;
  /** The only one whose backends may answer; null: any. */
  bundle: string | null;
};

type Decided = Prepared & Awaited<ReturnType<Decide>> & { line: Line };

/** An answer that is being made, or looked for. */
export type Answering = {
  begun: Promise<BegunAnswer>;
  /**
   * Resolves when the answer has begun, or its client has to be told to wait. Until then, an error
   * can still set the status.
   */
  ready: Promise<unknown>;
  state: CacheState;
  /** How old a kept answer is; null if it is made anew. */
  ageMs: number | null;
  /** Call this when the client has left. */
  cancel: () => void;
  hasLeft: () => boolean;
};

export function createPromptAnswerer({ decide, pool, classifierVersion, timeouts, findAnswer }: AnswererParts) {
  const checkGrammar = createCheckGrammar();
  const signerOf = createEdgeSigner();
  const signerOfMixed = createMixedSigner();
  const mixedSigner = async (config: Config) => (await signerOfMixed(config)) ?? refuseUnsigned();

  /**
   * Everything that can be refused before anybody reads the prompt.
   *
   * @param bundle whose tokenizer said what the prompt's ids are; null: it has none
   */
  async function prepare(
    asked: Asked,
    c: Metered,
    { bundle = null }: { bundle?: string | null } = {},
  ): Promise<Prepared> {
    const caller = await chooseStanding(c.var.caller, asked.messages, c.var.config.directiveKey);
    demandShaping(asked, caller.policy);
    const extension = asked.plimsoll ?? {};
    const trace = allowedTrace(caller.policy, extension.trace);
    checkTop(caller.policy, extension, trace);
    demandMixable(asked);
    const allMembers = async () =>
      ofBundle(allowedMembers(await poolMembers(pool, c, asked), caller.policy, asked.model), bundle);
    const all = await allMembers();
    const syntax = syntaxOf(all, asked);
    const grammar = grammarOfChat(asked, { syntax });
    const spelled = checkGrammar(grammar, caller);
    const speaking = { model: asked.model, syntax };
    const listMembers = async () => speakingMembers(await allMembers(), speaking);
    const members = speakingMembers(all, speaking);
    refuseTooLong(members, { ...asked, tools: offeredTools(asked) });
    const cost = await costOf(asked, { members, maxTokensOfPolicy: caller.policy.limits.max_tokens });
    const reads = syntax && readsTools(asked, { syntax, requestId: c.var.requestId, alone: grammar?.alone ?? false });
    return { asked, caller, trace, cost, members, listMembers, syntax, grammar, spelled, reads, bundle };
  }

  /** Reads the prompt. Throws if the policy refuses it. */
  async function decideOn(prepared: Prepared, c: Metered): Promise<Decided> {
    const { asked, caller, spelled } = prepared;
    const { config, requestId } = c.var;
    const { messages } = asked;
    const tools = offeredTools(asked);
    const made = await decide({ messages, tools }, { caller, extension: asked.plimsoll ?? {}, spelled });
    const { verdict, policy, categories } = made.decision;
    const because = verdict.action === 'refuse' ? verdict.because : null;
    c.var.watch?.decided({ model: prepared.cost.model, policy: caller.version, categories, because });
    if (verdict.action === 'refuse') {
      const text = refusalText(verdict.because, refusalWords(policy, verdict.because));
      const sign = await signerOf(config);
      throw await policyRefusal({
        ...verdict,
        text,
        messages,
        tools,
        grammar: prepared.grammar?.grammar ?? null,
        requestId,
        caller,
        classifierVersion,
        sign,
      });
    }
    return { ...prepared, ...made, line: lineOf(verdict) };
  }

  /** Call this once what it can cost is reserved. */
  async function begin(decided: Decided, c: Metered): Promise<Answering> {
    const { asked, caller, trace, members, listMembers, syntax, decision, cache, line, bundle } = decided;
    const { config, requestId, meter, watch, trace: requestTrace } = c.var;
    const { model, messages } = asked;
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
    const request = generateBody(asked, { maxTokensOfPolicy, trace, defaults, seed, syntax });
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
    const hasLeft = () => client.signal.aborted;

    const named = asked.seed ?? null;
    const seeds = { named, fixed: named ?? meter.seed };
    const found = await findAnswer(c, { caller, directive, request, seed: seeds, member: best });
    if ('begun' in found) {
      const cancel = () => {
        found.leave();
        client.abort();
      };
      onAbort(c.req.raw.signal, cancel);
      const sign = await signerOf(config);
      const again = found.begun.then(({ model, systemFingerprint, events }) => ({
        events: toldAgain(events, {
          how: found.state,
          directive,
          messages,
          tools: offeredTools(asked),
          sign,
          decided: decision,
        }),
        head: headOf(model, systemFingerprint),
        decided: decision,
        extension: extensionOf(found.state),
      }));
      const begun = meter.follow(again, client.signal, { isFree: true, watch });
      begun.catch(() => undefined);
      const ready = found.isWaiting ? Promise.resolve() : begun;
      return { begun, ready, state: found.state, ageMs: found.ageMs, cancel, hasLeft };
    }
    const { lead } = found;
    // Others may want the answer when this client has left.
    const cancel = () => (lead === null ? client.abort() : lead.leave());
    void lead?.abandoned.then(() => client.abort());
    onAbort(c.req.raw.signal, cancel);
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
    const ask = (among: readonly PoolMember[], { isAgain = false } = {}) =>
      callBackend({ ...call, candidates: among, breaker: pool, isAgain });
    const upstream =
      line.mode === 'edge'
        ? null
        : ask(candidates).catch((broken: unknown) => {
            // With its status, the client has been told to wait.
            if (!hasWaited || !mayAskAgain(broken)) throw broken;
            const again = async () => ask(choose(await listMembers()), { isAgain: true });
            return askAgain(again, { broken, signal: client.signal, patienceMs: timeouts.resumeMs });
          });
    const resuming = { ...call, model, messages, from, pool, members: listMembers };
    const start =
      upstream === null
        ? async () =>
            beginMixed({
              ...resuming,
              mixing: config.mixing,
              openSocket: upgrade,
              onEnd: (receipt) => countShadow(shadowOf(decision, receipt), directive),
              sign: await mixedSigner(config),
            })
        : async () => {
            const first = await upstream;
            const events = readAnswers(first, {
              request,
              resuming,
              frameKey: await frameKeyOf(config.directiveKey),
              jwks: config.receiptJwks,
              onReceipt: (receipt) => countShadow(shadowOf(decision, receipt), directive),
            });
            return { start: first.start, events };
          };
    const begins = start().then(async ({ start, events }): Promise<BegunAnswer> => {
      // Its weights have changed since it was last heard.
      if (bundle !== null && start.bundle !== bundle) {
        lead?.giveUp();
        client.abort();
        throw otherBundle();
      }
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
    const followed = meter.follow(begins, client.signal, { watch });
    const begun = lead === null ? followed : lead.share(followed);
    // Whoever reads the answer sees the error. If nobody reads it any more, nobody needs to see it.
    begun.catch(answered);
    return { begun, ready: Promise.race([begun, waits.promise]), state: found.state, ageMs: null, cancel, hasLeft };
  }

  return { prepare, decideOn, begin };
}

/** The same events. `over` is called after the last, however they end. */
async function* endedBy(events: AnswerEvents, over: () => void): AnswerEvents {
  try {
    return yield* events;
  } finally {
    over();
  }
}

/**
 * The backends whose tokenizer reads ids as the edge was told, and those of the helpfulness pool:
 * what is read there decides nothing about the line.
 */
function ofBundle(members: readonly PoolMember[], bundle: string | null): PoolMember[] {
  if (bundle === null) return [...members];
  const alike = members.filter((member) => member.bundle === bundle || isOnlyHelpful(member));
  if (members.length > 0 && alike.every(isOnlyHelpful)) throw otherBundle();
  return alike;
}

const otherBundle = () =>
  new PlimsollError('backend_unavailable', 'The model is changing at this moment. Please try again.');

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
