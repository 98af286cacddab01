/**
 * Finds a backend that goes on with an answer that another one has broken off. To the client, that
 * is a pause. Backends that are down for the moment are given some time: a supervisor starts them
 * again.
 */
import { ERROR_CODES, PlimsollError } from '#shared/api/errors.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { Message } from '#shared/protocol/generate.ts';
import type { Region } from '#shared/protocol/regions.ts';
import { MOST_PARTS, resumeBody } from '#shared/protocol/resume.ts';
import { logFailure } from '../request/log.ts';
import { type BackendPool, chooseBackends, type PoolMember } from './backend-pool.ts';
import { type CallOptions, callBackend } from './call-backend.ts';
import type { GoOn } from './read-answer.ts';
import { isUnread } from './read-frames.ts';

/** So many backends in a row may break without a token. Then the request is what breaks them. */
const MOST_FRUITLESS = 4;
const FIRST_WAIT_MS = 25;
const LONGEST_WAIT_MS = 1_000;

export type ResumeOptions = Omit<CallOptions, 'candidates' | 'directive' | 'expects' | 'breaker' | 'isAgain'> & {
  /** What was signed for the first backend, without what depended on it. */
  directive: Omit<Directive, 'id'>;
  model: string;
  messages: readonly Message[];
  /** Where this edge is. */
  from: Region | null;
  pool: BackendPool;
  /** All backends, as last heard. */
  members: () => Promise<PoolMember[]>;
};

/** For one answer. */
export function resumeElsewhere({
  directive: asSigned,
  body,
  model,
  messages,
  from,
  pool,
  members,
  ...call
}: ResumeOptions): GoOn {
  const { signal, timeouts, requestId } = call;
  const about = { request: requestId, trace: call.trace.span.traceId };
  const broke = new Set<string>();
  let reached = 0;
  let fruitless = 0;

  return async (account, { last, broken }) => {
    // A client that has left breaks its own stream: that says nothing about the backend.
    signal.throwIfAborted();
    const { member, start } = last;
    // One that was left because of a slow reader may go on itself.
    if (!isUnread(broken)) {
      if (broken.code === 'backend_unavailable') pool.failed(member.url);
      broke.add(member.url);
    }
    fruitless = account.position > reached ? 0 : fruitless + 1;
    reached = account.position;
    logFailure('answer-broken-off', broken, { ...about, url: member.url, position: reached });
    const resume = await account.resume();
    if (fruitless > MOST_FRUITLESS || (resume !== null && resume.parts.length + 2 > MOST_PARTS)) throw broken;
    const { id: _, ...sent } = last.directive;
    // A look that was taken counts, whoever goes on. Without a token, the answer begins anew.
    const directive = resume === null ? { ...asSigned, resume } : { ...sent, resume };
    const looks = resume === null && asSigned.second_look !== null;

    async function ask() {
      // Other weights would give another answer.
      const alike = (await members()).filter(({ bundle }) => bundle === start.bundle);
      const { mode } = asSigned.line;
      const candidates = chooseBackends(alike, { model, messages, mode, looks, load: pool.load, from });
      return callBackend({
        ...call,
        body: resume === null ? body : resumeBody(body, account.ids()),
        directive,
        candidates: candidates.toSorted((a, b) => Number(broke.has(a.url)) - Number(broke.has(b.url))),
        expects: start,
        breaker: pool,
        isAgain: true,
      });
    }

    const onRefusal = (error: PlimsollError) =>
      logFailure('answer-not-resumed', error, { ...about, position: reached });
    return askAgain(ask, { broken, signal, patienceMs: timeouts.resumeMs, onRefusal });
  };
}

/** Whether another backend, or the same one later, may do better. */
export function mayAskAgain(thrown: unknown): thrown is PlimsollError {
  return thrown instanceof PlimsollError && ERROR_CODES[thrown.code].retry;
}

/**
 * Asks until somebody answers, with growing pauses. Throws `broken` if nobody does in time, or if
 * somebody refuses for a reason that stays.
 *
 * @param onRefusal gets such a reason
 */
export async function askAgain<T>(
  ask: () => Promise<T>,
  {
    broken,
    signal,
    patienceMs,
    onRefusal = () => {},
  }: { broken: PlimsollError; signal: AbortSignal; patienceMs: number; onRefusal?: (error: PlimsollError) => void },
): Promise<T> {
  const until = Date.now() + patienceMs;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
    try {
      return await ask();
    } catch (thrown) {
      signal.throwIfAborted();
      if (!(thrown instanceof PlimsollError)) throw thrown;
      if (!mayAskAgain(thrown)) onRefusal(thrown);
      if (!mayAskAgain(thrown) || Date.now() + waitMs > until) throw broken;
      // Answers that broke together should not all come back at the same moment.
      await pause(waitMs * (0.5 + Math.random()), signal);
    }
  }
}

/** Ends early, with its reason, if the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, ms);
  const abort = () => over.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await over.promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
