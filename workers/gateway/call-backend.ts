/**
 * Finds a backend that takes the request. A backend has taken it once its `start` frame is here; until then nothing has
 * been drawn and nothing told to the client, so others may be asked: after a failure the next one, after a short silence a
 * second one beside the first. The first `start` wins, the other attempts are given up, and the answer is that backend's.
 */
import { ERROR_CODES, PlimsollError } from '#shared/api/errors.ts';
import { logFailure } from '../request/log.ts';
import { within } from '../request/within.ts';
import { type Attempt, type AttemptOptions, type BackendAnswer, startAttempt } from './attempt.ts';
import type { PoolMember } from './backend-pool.ts';
import type { Breaker } from './breaker.ts';

/** Past this many the trouble is not one backend's, and the client waits for nothing. */
const MAX_ATTEMPTS = 3;

/** `onWaiting` is called each time a backend says that the request waits there. */
export type CallOptions = Omit<AttemptOptions, 'onBroken'> & { candidates: readonly PoolMember[]; breaker: Breaker };

type Outcome = { attempt: Attempt; answer: BackendAnswer } | { attempt: Attempt; error: unknown } | 'silence';

export async function callBackend(options: CallOptions): Promise<BackendAnswer> {
  const { breaker, timeouts, signal, requestId } = options;
  const unasked = options.candidates.slice();
  const running = new Map<Attempt, Promise<Outcome>>();
  let asked = 0;
  let lastError: unknown = new PlimsollError('backend_unavailable', 'No backend is available. Please try again.');

  /** The best that is well and not out. Where nobody has been asked, any is better than nothing. */
  const askNext = (): void => {
    const admitted = unasked.findIndex(({ url, alive }) => alive && breaker.admit(url));
    if (admitted < 0 && asked > 0) return;
    const [member] = unasked.splice(Math.max(admitted, 0), 1);
    if (member === undefined) return;
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
  };
  /** Nobody is asked beside a backend that has said that it is at it. */
  const mayAskAnother = () =>
    asked < MAX_ATTEMPTS && unasked.length > 0 && ![...running.keys()].some((attempt) => attempt.hasSpoken());

  try {
    askNext();
    while (running.size > 0) {
      const outcome = await firstOf([...running.values()], mayAskAnother() ? timeouts.hedgeMs : null);
      if (outcome === 'silence') {
        if (mayAskAnother()) askNext();
        continue;
      }
      const { attempt } = outcome;
      running.delete(attempt);
      if ('answer' in outcome) {
        breaker.answered(attempt.member.url);
        // Those that were asked before and have said nothing yet are not to cost the next request as much.
        for (const { member, isSilentFor } of running.keys()) {
          if (isSilentFor(timeouts.hedgeMs)) breaker.failed(member.url);
        }
        return outcome.answer;
      }
      const { error } = outcome;
      if (signal.aborted || !(error instanceof PlimsollError)) throw error;
      // To refuse is to be there: a trial of the breaker's has come out well.
      if (error.code === 'overloaded' || ERROR_CODES[error.code].status < 500) breaker.answered(attempt.member.url);
      if (!ERROR_CODES[error.code].retry) throw error;
      lastError = error;
      if (mayAskAnother()) askNext();
      // A full queue is no failure, and where nobody else is asked the request's own line says it.
      if (running.size > 0 && error.code !== 'overloaded') {
        logFailure('backend-attempt-failed', error, { request: requestId, url: attempt.member.url });
      }
    }
    throw lastError;
  } finally {
    for (const attempt of running.keys()) attempt.giveUp();
  }
}

/** The first outcome, or `silence` if none comes for so long. */
async function firstOf(outcomes: readonly Promise<Outcome>[], silenceMs: number | null): Promise<Outcome> {
  const first = Promise.race(outcomes);
  return silenceMs === null ? first : within(silenceMs, first, () => 'silence');
}
