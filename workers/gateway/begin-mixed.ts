/**
 * Begins an answer whose experts are in different pools: finds a backend of either, lets both read
 * the prompt, and hands their rows to mix-answer.ts. The edge signs the receipt.
 *
 * If no backend of the safety expert can be asked, there is no answer. If none of the other expert
 * can, the safety expert answers alone.
 */

import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { ERROR_CODES, PlimsollError } from '#shared/api/errors.ts';
import { withPlain } from '#shared/api/sampling.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { ExpertDirective, Role } from '#shared/protocol/expert-directive.ts';
import { type ExpertStart, unpackVocabulary } from '#shared/protocol/expert-messages.ts';
import { GenerateRequest, type Message } from '#shared/protocol/generate.ts';
import { crossedLine } from '#shared/protocol/line-held.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import type { Region } from '#shared/protocol/regions.ts';
import { digestOfSignedLine, type SignedLine } from '#shared/protocol/signed-line.ts';
import type { RequestTrace } from '#shared/trace/tracing.ts';
import { logFailure } from '../request/log.ts';
import type { Timeouts } from './attempt.ts';
import { type BackendPool, chooseBackends, type PoolMember } from './backend-pool.ts';
import { ExpertRows, type OpenExpert } from './expert-rows.ts';
import { type ExpertSession, type OpenSocket, openSession } from './expert-socket.ts';
import { mixAnswer, needsHelpful } from './mix-answer.ts';
import type { AnswerEvents } from './read-answer.ts';
import { askAgain } from './resume-elsewhere.ts';

/** How many backends are asked for one expert, one after the other. */
const MOST_TRIES = 3;
/** The answer can do without the helpfulness expert, so nobody waits long for it. */
const HELPFUL_SILENCE_MS = 10_000;

type MixingSettings = { topK: number | null; ahead: number };

export type BeginOptions = {
  requestId: string;
  trace: RequestTrace;
  /** As it is sent, and whose digest the directive has. */
  body: string;
  model: string;
  messages: readonly Message[];
  directive: Omit<Directive, 'id'>;
  directiveKey: Uint8Array;
  mixing: MixingSettings;
  signal: AbortSignal;
  timeouts: Timeouts;
  pool: BackendPool;
  /** Where this edge is. */
  from: Region | null;
  /** All backends, as last heard. */
  members: () => Promise<PoolMember[]>;
  openSocket: OpenSocket;
  onWaiting: () => void;
  /** Called with the complete receipt before it is signed. */
  onEnd: (receipt: Receipt) => void;
  sign: (receipt: Receipt) => Promise<string>;
};

/** Vocabularies of the bundles that this isolate has mixed. */
const vocabularies = new Map<string, Vocabulary>();
/** Each takes about a megabyte. */
const MOST_VOCABULARIES = 4;

export async function beginMixed(options: BeginOptions): Promise<{ start: ExpertStart; events: AnswerEvents }> {
  const { directive, requestId, trace } = options;
  const ids: number[] = [];
  const about = { request: requestId, trace: trace.span.traceId };
  const members = await options.members();
  const bundle = bundleOf(members, options);
  const openSafety = opener('safety', bundle, options);
  const beginsSafety = ExpertRows.open(openSafety, ids);
  const beginsHelpful: Promise<ExpertRows | null> = needsHelpful(directive.line)
    ? ExpertRows.open(opener('helpfulness', bundle, options), ids)
    : Promise.resolve(null);
  const alone = (why: unknown) => {
    options.signal.throwIfAborted();
    logFailure('helpfulness-expert-gone', why instanceof PlimsollError ? why : nobody('helpfulness'), {
      ...about,
      position: ids.length,
    });
  };
  // Both are looked at below, whatever becomes of the other one.
  beginsHelpful.catch(() => undefined);
  const safety = await beginsSafety.catch((thrown: unknown) => {
    void beginsHelpful.then((rows) => rows?.close()).catch(() => undefined);
    throw thrown;
  });
  const { start } = safety;
  let helpful = await beginsHelpful.catch((thrown: unknown) => {
    alone(thrown);
    return null;
  });
  if (
    helpful !== null &&
    (helpful.start.bundle !== start.bundle || helpful.start.prompt_tokens !== start.prompt_tokens)
  ) {
    // Their tokens may mean something else.
    alone(new PlimsollError('backend_unavailable', `The helpfulness expert has the bundle ${helpful.start.bundle}.`));
    helpful.close();
    helpful = null;
  }
  const vocabulary = learnVocabulary(start);
  const request = GenerateRequest.parse(JSON.parse(options.body));
  const { topK } = options.mixing;
  // Who goes on later may be asked for no second look; this is what the draws' key is bound to.
  const { asked } = safety;
  const { line, second_look: secondLook } = asked;
  const drawn = mixAnswer({ line, secondLook, request, vocabulary, topK, ids, safety, helpful, onAlone: alone });
  return { start, events: signed(drawn, { start, asked, safety, request, options }) };
}

async function* signed(
  drawn: ReturnType<typeof mixAnswer>,
  {
    start,
    asked,
    safety,
    request,
    options: { directive, mixing, onEnd, sign },
  }: {
    start: ExpertStart;
    asked: SignedLine;
    safety: ExpertRows;
    request: GenerateRequest;
    options: BeginOptions;
  },
): AnswerEvents {
  const end = yield* drawn;
  const receipt: Receipt = {
    request: directive.request,
    directive: safety.directive,
    tenant: directive.tenant,
    key: directive.key,
    policy: directive.policy,
    classifier: directive.classifier,
    model: start.model,
    bundle: start.bundle,
    experts: start.experts,
    backend: 'edge',
    parts: [],
    draws: start.draws,
    signed_line: await digestOfSignedLine(asked),
    top_k: mixing.topK,
    choice: 0,
    choices: 1,
    seed: request.seed,
    max_tokens: request.max_tokens,
    sampling: withPlain(request),
    prompt_digest: directive.digest,
    ...end,
  };
  const crossed = crossedLine(receipt);
  if (crossed !== null) {
    throw new PlimsollError('internal_error', 'The server had an error while processing your request.', {
      detail: { crossed },
    });
  }
  onEnd(receipt);
  return { receiptToken: await sign(receipt), receipt };
}

/**
 * The weights that the answer is drawn from: those of the safety expert's best backend. Both
 * experts must have the same, because a token has to mean the same to both.
 */
function bundleOf(members: readonly PoolMember[], options: BeginOptions): string | null {
  return candidatesFor('safety', members, options)[0]?.bundle ?? null;
}

function candidatesFor(
  role: Role,
  members: readonly PoolMember[],
  { model, messages, directive, pool, from }: BeginOptions,
): PoolMember[] {
  const own = members.filter((member) => member.model !== model || member.serves.includes(role));
  if (!own.some((member) => member.model === model)) throw nobody(role);
  const looks = role === 'safety' && directive.second_look !== null;
  return chooseBackends(own, { model, messages, mode: 'edge', looks, load: pool.load, from });
}

/** Opens one expert, at the first backend of its pool that takes it. */
function opener(role: Role, bundle: string | null, options: BeginOptions): OpenExpert {
  const { pool, signal, timeouts } = options;
  const broke = new Set<string>();
  const isSafety = role === 'safety';

  async function askOnce(ids: readonly number[], begun: ExpertStart | null): Promise<ExpertSession> {
    const chosen = candidatesFor(role, await options.members(), options).filter((one) => one.bundle === bundle);
    const candidates = chosen.toSorted((a, b) => Number(broke.has(a.url)) - Number(broke.has(b.url)));
    let last: PlimsollError = nobody(role);
    let tries = 0;
    // Without the safety expert there is no answer, so if none of its backends is known to be well,
    // any is worth a try.
    for (const mustBeWell of isSafety ? [true, false] : [true]) {
      for (const member of candidates) {
        if (tries === MOST_TRIES || (mustBeWell && !(member.alive && pool.admit(member.url)))) continue;
        tries++;
        try {
          const session = await openAt(member, ids, begun);
          pool.answered(member.url);
          return session;
        } catch (thrown) {
          last = noteRefusal(thrown, member);
        }
      }
      if (tries > 0) break;
    }
    throw last;
  }

  /** What a backend that was asked in vain leaves to say. Throws what no other one would mend. */
  function noteRefusal(thrown: unknown, { url }: PoolMember): PlimsollError {
    signal.throwIfAborted();
    if (!(thrown instanceof PlimsollError)) throw thrown;
    if (thrown.code === 'model_not_found') {
      pool.servesAnother(url);
      return nobody(role);
    }
    if (thrown.code === 'backend_unavailable') {
      pool.failed(url);
      broke.add(url);
    }
    if (!ERROR_CODES[thrown.code].retry) throw thrown;
    return thrown;
  }

  function openAt(member: PoolMember, ids: readonly number[], begun: ExpertStart | null): Promise<ExpertSession> {
    const span = options.trace.call('expert', { 'url.full': member.url, 'plimsoll.expert': role });
    // A backend without a probe gets no rules for a second look.
    const look = member.secondLook === null ? { second_look: null } : {};
    const { resume: _, ...own } = options.directive;
    const directive: Omit<ExpertDirective, 'id'> = {
      ...own,
      ...look,
      expert: role,
      top_k: options.mixing.topK,
      ahead: options.mixing.ahead,
    };
    const silenceMs = isSafety ? timeouts.frameMs : Math.min(HELPFUL_SILENCE_MS, timeouts.frameMs);
    return openSession(member, {
      directive,
      directiveKey: options.directiveKey,
      body: options.body,
      ids,
      draws: begun?.draws ?? null,
      vocabulary: isSafety && !vocabularies.has(member.bundle ?? ''),
      headers: span.headers,
      signal,
      openSocket: options.openSocket,
      load: pool.load,
      silenceMs,
      onWaiting: isSafety ? options.onWaiting : () => {},
    }).finally(() => span.end());
  }

  return async (ids, before) => {
    // A client that has left breaks its own sockets: that says nothing about the backends.
    signal.throwIfAborted();
    if (before === null) return askOnce(ids, null);
    const { broken, start, url } = before;
    broke.add(url);
    if (broken.code === 'backend_unavailable') pool.failed(url);
    // A supervisor starts a dead backend again. The answer waits for that only if it must.
    const patienceMs = isSafety ? timeouts.resumeMs : 0;
    return askAgain(() => askOnce(ids, start), { broken, signal, patienceMs });
  };
}

function learnVocabulary(start: ExpertStart): Vocabulary {
  const known = vocabularies.get(start.bundle);
  if (known !== undefined) return known;
  if (start.vocabulary === undefined) {
    throw new PlimsollError('backend_unavailable', 'The backend did not send its vocabulary. Please try again.');
  }
  const vocabulary = unpackVocabulary(start.vocabulary);
  const [oldest] = vocabularies.keys();
  if (vocabularies.size >= MOST_VOCABULARIES && oldest !== undefined) vocabularies.delete(oldest);
  vocabularies.set(start.bundle, vocabulary);
  return vocabulary;
}

function nobody(role: Role): PlimsollError {
  return new PlimsollError('backend_unavailable', `No backend of the ${role} expert is available. Please try again.`);
}
