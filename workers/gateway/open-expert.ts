/**
 * Finds a backend of one expert's pool for an answer that the edge mixes, at its beginning and
 * after another one has broken off. A backend that cannot be mixed with the rest of the answer is
 * passed over: its tokens may mean something else, or its draws be others.
 *
 * Each expert is a request to its pool, and whoever is asked after the first one is a retry. Those
 * come out of the tenant's budget, as everywhere (retry-budget.ts).
 */
import { ERROR_CODES, PlimsollError } from '#shared/api/errors.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { ExpertDirective, Role } from '#shared/protocol/expert-directive.ts';
import type { ExpertStart } from '#shared/protocol/expert-messages.ts';
import type { Message } from '#shared/protocol/generate.ts';
import type { Region } from '#shared/protocol/regions.ts';
import type { RequestTrace } from '#shared/trace/tracing.ts';
import type { Timeouts } from './attempt.ts';
import { type BackendPool, chooseBackends, type PoolMember } from './backend-pool.ts';
import type { OpenExpert } from './expert-rows.ts';
import { type ExpertSession, type OpenSocket, openSession } from './expert-socket.ts';
import { askAgain } from './resume-elsewhere.ts';

/** How many backends are asked for one expert, one after the other. */
const MOST_TRIES = 3;

export type OpenerOptions = {
  trace: RequestTrace;
  /** As it is sent, and whose digest the directive has. */
  body: string;
  model: string;
  messages: readonly Message[];
  directive: Omit<Directive, 'id'>;
  directiveKey: Uint8Array;
  mixing: { topK: number | null; ahead: number };
  signal: AbortSignal;
  timeouts: Timeouts;
  pool: BackendPool;
  /** Where this edge is. */
  from: Region | null;
  /** All backends, as last heard. */
  members: () => Promise<PoolMember[]>;
  openSocket: OpenSocket;
  onWaiting: () => void;
};

export type Pool = {
  role: Role;
  /** Whose rows can be mixed: backends of these weights. */
  bundle: string | null;
  /** Whether the edge knows the vocabulary of these weights. */
  knows: (bundle: string | null) => boolean;
  /** How the other expert's backend begins, if this one has to fit it. */
  fits?: Promise<ExpertStart>;
};

/** Opens one expert, at the first backend of its pool that takes it and fits. */
export function opener({ role, bundle, knows, fits }: Pool, options: OpenerOptions): OpenExpert {
  const { pool, timeouts } = options;
  const retries = pool.retries.of(options.directive.tenant);
  const broke = new Set<string>();
  const isSafety = role === 'safety';

  type Wanted = { ids: readonly number[]; begun: ExpertStart | null; signal: AbortSignal };

  async function askOnce({ ids, begun, signal }: Wanted): Promise<ExpertSession> {
    const chosen = candidatesFor(role, await options.members(), options).filter((one) => one.bundle === bundle);
    const candidates = chosen.toSorted((a, b) => Number(broke.has(a.url)) - Number(broke.has(b.url)));
    let last: PlimsollError = nobody(role);
    let tries = 0;
    retries.request();
    // Without the safety expert there is no answer, so if none of its backends is known to be well,
    // any is worth a try.
    for (const mustBeWell of isSafety ? [true, false] : [true]) {
      for (const member of candidates) {
        if (tries === MOST_TRIES) break;
        const mayAsk = () => !mustBeWell || (member.alive && pool.admit(member.url));
        if (!(tries === 0 ? mayAsk() : retries.spend(mayAsk))) continue;
        tries++;
        const opened = await openAt(member, { ids, begun, signal }).catch((thrown: unknown) => {
          last = noteRefusal(thrown, { member, signal });
          return null;
        });
        if (opened === null) continue;
        pool.answered(member.url);
        const unfit = await whyUnfit(opened, begun);
        if (unfit === null) return opened;
        opened.close();
        broke.add(member.url);
        last = new PlimsollError('backend_unavailable', `A backend of the ${role} expert does not fit: ${unfit}.`);
      }
      if (tries > 0) break;
    }
    throw last;
  }

  /** What makes its rows another answer's; null if nothing does. */
  async function whyUnfit(session: ExpertSession, begun: ExpertStart | null): Promise<string | null> {
    const { start } = session;
    if (isSafety && (start.key === undefined || start.draws === undefined)) return 'it has no key to draw with';
    if (isSafety && start.vocabulary === undefined && !knows(start.bundle)) return 'it did not send its vocabulary';
    try {
      const expected = begun ?? (await fits);
      if (expected === undefined) return null;
      const drawn = isSafety ? (['draws', 'key'] as const) : [];
      const fields = ['bundle', 'vocab_size', 'prompt_tokens', ...drawn] as const;
      const other = fields.find((field) => String(start[field]) !== String(expected[field]));
      return other === undefined ? null : `it has another ${other}`;
    } catch (thrown) {
      session.close();
      throw thrown;
    }
  }

  /** What a backend that was asked in vain leaves to say. Throws what no other one would mend. */
  function noteRefusal(thrown: unknown, { member, signal }: { member: PoolMember; signal: AbortSignal }) {
    pool.released(member.url);
    signal.throwIfAborted();
    if (!(thrown instanceof PlimsollError)) throw thrown;
    if (thrown.code === 'model_not_found') {
      pool.servesAnother(member.url);
      return nobody(role);
    }
    if (thrown.code === 'backend_unavailable') {
      pool.failed(member.url);
      broke.add(member.url);
    }
    // A backend that fails by itself, or has other keys, says nothing about the next one.
    if (!ERROR_CODES[thrown.code].retry && thrown.code !== 'internal_error') throw thrown;
    return thrown;
  }

  function openAt(member: PoolMember, { ids, begun, signal }: Wanted): Promise<ExpertSession> {
    const span = options.trace.call('expert', { 'url.full': member.url, 'plimsoll.expert': role });
    // A backend that takes no second look gets no rules for it.
    const look = isSafety && member.secondLook !== null ? {} : { second_look: null };
    const { resume: _, ...own } = options.directive;
    const directive: Omit<ExpertDirective, 'id'> = {
      ...own,
      ...look,
      expert: role,
      top_k: options.mixing.topK,
      ahead: options.mixing.ahead,
    };
    // Nobody waits longer for an expert that the answer can do without.
    const silenceMs = isSafety ? timeouts.frameMs : Math.min(timeouts.besideMs, timeouts.frameMs);
    return openSession(member, {
      directive,
      directiveKey: options.directiveKey,
      body: options.body,
      ids,
      draws: begun?.draws ?? null,
      vocabulary: isSafety && !knows(member.bundle),
      headers: span.headers,
      signal,
      openSocket: options.openSocket,
      load: pool.load,
      silenceMs,
      onWaiting: isSafety ? options.onWaiting : () => {},
    }).finally(() => span.end());
  }

  return async (ids, before, over) => {
    const signal = AbortSignal.any([options.signal, over]);
    // A client that has left breaks its own sockets: that says nothing about the backends.
    signal.throwIfAborted();
    if (before === null) return askOnce({ ids, begun: null, signal });
    const { broken, start, url } = before;
    broke.add(url);
    if (broken.code === 'backend_unavailable') pool.failed(url);
    // A supervisor starts a dead backend again. The answer waits for that only if it must.
    const patienceMs = isSafety ? timeouts.resumeMs : 0;
    return askAgain(() => askOnce({ ids, begun: start, signal }), { broken, signal, patienceMs });
  };
}

/**
 * The weights that the answer is drawn from: those of the safety expert's best backend. Both
 * experts must have the same, because a token has to mean the same to both.
 */
export function bundleOf(members: readonly PoolMember[], options: OpenerOptions): string | null {
  return candidatesFor('safety', members, options)[0]?.bundle ?? null;
}

function candidatesFor(
  role: Role,
  members: readonly PoolMember[],
  { model, messages, directive, pool, from }: OpenerOptions,
): PoolMember[] {
  const own = members.filter((member) => member.model !== model || member.serves.includes(role));
  if (!own.some((member) => member.model === model)) throw nobody(role);
  const looks = role === 'safety' && directive.second_look !== null;
  return chooseBackends(own, { model, messages, mode: 'edge', looks, load: pool.load, from });
}

export function nobody(role: Role): PlimsollError {
  return new PlimsollError('backend_unavailable', `No backend of the ${role} expert is available. Please try again.`);
}
