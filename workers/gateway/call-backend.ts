/**
 * Finds a backend that takes the request. A backend has taken it once its `start` frame is here; until then nothing has
 * been drawn and nothing told to the client, so others may be asked: after a failure the next one, after a short silence a
 * second one beside the first. The first `start` wins, the other attempts are given up, and the answer is that backend's.
 */
import { ERROR_CODES, PlimsollError } from '#shared/api/errors.ts';
import { logFailure } from '../log.ts';
import { type Attempt, type AttemptOptions, type BackendAnswer, startAttempt } from './attempt.ts';
import type { PoolMember } from './backend-pool.ts';
import type { Breaker } from './breaker.ts';

/** Past this many the trouble is not one backend's, and the client waits for nothing. */
const MAX_ATTEMPTS = 3;

export type CallOptions = Omit<AttemptOptions, 'onBroken' | 'onWaiting'> & {
  candidates: readonly PoolMember[];
  breaker: Breaker;
  /** Called each time a backend says that the request waits there. */
  onWaiting?: () => void;
};

type Outcome = { attempt: Attempt; answer: BackendAnswer } | { attempt: Attempt; error: unknown } | 'silence';

export async function callBackend(options: CallOptions): Promise<BackendAnswer> {
  const { breaker, timeouts, signal, requestId } = options;
  const unasked = options.candidates.slice();
  const running = new Map<Attempt, Promise<Outcome>>();
  let asked = 0;
  let isAccepted = false;
  let lastError: unknown = new PlimsollError('backend_unavailable', 'No backend is available. Please try again.');

  /** The best that is not out. Where nobody has been asked, one that is out is better than nothing. */
  const askNext = (): void => {
    const admitted = unasked.findIndex(({ url }) => breaker.admit(url));
    if (admitted < 0 && asked > 0) return;
    const [member] = unasked.splice(Math.max(admitted, 0), 1);
    if (member === undefined) return;
    asked++;
    const attempt = startAttempt(member, {
      ...options,
      onWaiting: () => {
        isAccepted = true;
        options.onWaiting?.();
      },
      onBroken: () => breaker.failed(member.url),
    });
    const outcome = attempt.answer.then(
      (answer): Outcome => ({ attempt, answer }),
      (error: unknown): Outcome => ({ attempt, error }),
    );
    running.set(attempt, outcome);
  };
  const mayAskAnother = () => asked < MAX_ATTEMPTS && unasked.length > 0;

  try {
    askNext();
    while (running.size > 0) {
      // Nobody is asked beside a backend that has said that it is at it.
      const outcome = await firstOf([...running.values()], mayAskAnother() && !isAccepted ? timeouts.hedgeMs : null);
      if (outcome === 'silence') {
        if (!isAccepted) askNext();
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
      if (!ERROR_CODES[error.code].retry) throw error;
      lastError = error;
      isAccepted = false;
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
  if (silenceMs === null) return Promise.race(outcomes);
  const silence = Promise.withResolvers<Outcome>();
  const timer = setTimeout(() => silence.resolve('silence'), silenceMs);
  try {
    return await Promise.race([...outcomes, silence.promise]);
  } finally {
    clearTimeout(timer);
  }
}
