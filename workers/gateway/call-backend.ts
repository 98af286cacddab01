/**
 * Finds a backend that takes the request. Once its `start` frame arrives, the request belongs to
 * that backend. Before that, no token has been drawn and the client has seen nothing, so we can ask
 * others: the next one after a failure, and a second one in parallel after a short silence. The
 * first `start` wins, and the other attempts are given up. A budget bounds how many attempts a
 * tenant's requests, and those of all tenants, make beyond their first (retry-budget.ts).
 */
import { ERROR_CODES, PlimsollError } from '#shared/api/errors.ts';
import { logFailure } from '../request/log.ts';
import { within } from '../request/within.ts';
import { type Attempt, type AttemptOptions, type BackendAnswer, startAttempt } from './attempt.ts';
import type { PoolMember } from './backend-pool.ts';
import type { Breaker } from './breaker.ts';
import type { RetryBudget } from './retry-budget.ts';

/** If this many fail, the trouble is not with one backend, and the client would wait in vain. */
const MAX_ATTEMPTS = 3;
/**
 * When a backend dies, all of its requests look for another one. A random wait before each retry
 * spreads them: up to this long before the second attempt, and four times as long before the third.
 */
const JITTER_MS = 25;

/** `onWaiting` is called each time a backend says that the request waits there. */
export type CallOptions = Omit<AttemptOptions, 'onBroken'> & {
  candidates: readonly PoolMember[];
  breaker: Breaker;
  /** Called with the URL of a backend that no longer serves the model. */
  onOtherModel: (url: string) => void;
  /** Bounds the attempts after the first. Without one, only their number per request is bounded. */
  retries?: RetryBudget;
  /** Whether the request was sent before, and broke: then its first attempt is a retry as well. */
  isAgain?: boolean;
  /** From 0 to 1, for the wait before a retry. */
  random?: () => number;
};

type Outcome = { attempt: Attempt; answer: BackendAnswer } | { attempt: Attempt; error: unknown } | 'silence';

export async function callBackend(options: CallOptions): Promise<BackendAnswer> {
  const { breaker, timeouts, signal, requestId, retries, isAgain = false, random = Math.random } = options;
  const unasked = options.candidates.slice();
  const running = new Map<Attempt, Promise<Outcome>>();
  let asked = 0;
  let lastError: unknown = nobody();

  /**
   * Asks the best backend that is well and not out. If nobody is being asked, one that is well is
   * better than none, and at first any. Returns whether one was asked.
   */
  const askNext = (): boolean => {
    const admitted = unasked.findIndex(({ url, alive }) => alive && breaker.admit(url));
    const next = admitted >= 0 || running.size > 0 ? admitted : unasked.findIndex(({ alive }) => alive);
    if (next < 0 && asked > 0) return false;
    const [member] = unasked.splice(Math.max(next, 0), 1);
    if (member === undefined) return false;
    asked++;
    const attempt = startAttempt(member, {
      ...options,
      onBroken: () => breaker.failed(member.url),
    });
    const outcome = attempt.answer.then(
      (answer): Outcome => ({ attempt, answer }),
      (error: unknown): Outcome => ({ attempt, error }),
    );
    running.set(attempt, outcome);
    return true;
  };
  /** Once a backend has said that it has the request, we ask no other in parallel. */
  const mayAskAnother = () =>
    asked < MAX_ATTEMPTS && unasked.length > 0 && ![...running.keys()].some((attempt) => attempt.hasSpoken());
  const retry = () => {
    if (retries === undefined) askNext();
    else retries.spend(askNext);
  };
  const askAnother = () => {
    if (mayAskAnother()) retry();
  };

  try {
    if (isAgain) retry();
    else {
      retries?.request();
      askNext();
    }
    while (running.size > 0) {
      const outcome = await firstOf([...running.values()], mayAskAnother() ? timeouts.hedgeMs : null);
      if (outcome === 'silence') {
        askAnother();
        continue;
      }
      const { attempt } = outcome;
      running.delete(attempt);
      if ('answer' in outcome) {
        breaker.answered(attempt.member.url);
        // Backends that were asked earlier and are still silent must not delay the next request as
        // much. If the winner was slow as well, it is the request that takes long.
        const slowMs = Math.max(timeouts.hedgeMs, 2 * (attempt.saidAfterMs() ?? 0));
        for (const { member, isSilentFor } of running.keys()) {
          if (isSilentFor(slowMs)) breaker.failed(member.url);
        }
        return outcome.answer;
      }
      const { error } = outcome;
      breaker.released(attempt.member.url);
      if (signal.aborted || !(error instanceof PlimsollError)) throw error;
      // A backend that refuses is alive, so it has passed a trial by the breaker.
      if (error.code === 'overloaded' || ERROR_CODES[error.code].status < 500) breaker.answered(attempt.member.url);
      const hasChanged = error.code === 'model_not_found';
      if (hasChanged) options.onOtherModel(attempt.member.url);
      else if (!ERROR_CODES[error.code].retry) throw error;
      // Whether any other backend serves the model now, only a new look at all of them can tell.
      lastError = hasChanged ? nobody(error) : error;
      if (running.size === 0 && mayAskAnother()) await pause(random() * JITTER_MS * 4 ** (asked - 1));
      askAnother();
      // A full queue is not a failure. If no other backend is being asked, the log line of the
      // request itself tells of the error.
      if (running.size > 0 && error.code !== 'overloaded') {
        logFailure('backend-attempt-failed', error, {
          request: requestId,
          trace: options.trace.span.traceId,
          url: attempt.member.url,
        });
      }
    }
    throw lastError;
  } finally {
    for (const attempt of running.keys()) {
      attempt.giveUp();
      breaker.released(attempt.member.url);
    }
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function nobody(cause?: PlimsollError): PlimsollError {
  return new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', { cause });
}

/** The first outcome, or `silence` if there is none within `silenceMs`. */
async function firstOf(outcomes: readonly Promise<Outcome>[], silenceMs: number | null): Promise<Outcome> {
  const first = Promise.race(outcomes);
  return silenceMs === null ? first : within(silenceMs, first, () => 'silence');
}
