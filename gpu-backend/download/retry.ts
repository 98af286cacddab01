/**
 * Retries after temporary failures: a cut connection, a busy server (429) or a broken one (5xx).
 * Each wait is twice as long as the one before, with jitter so that many clients do not all retry
 * at the same time. If the server says how long to wait, we wait that long. A server that cannot be
 * reached at all gets one more try, because a wrong name or no network does not pass by itself.
 */
import { setTimeout as sleepMs } from 'node:timers/promises';

export class TransientError extends Error {
  readonly retryAfterMs: number | null;
  /**
   * True if the attempt made progress before it failed, so that the next one does not repeat it.
   */
  readonly progressed: boolean;
  /** True if no connection came about: its name is not known, or nothing listens there. */
  readonly unreachable: boolean;

  constructor(
    message: string,
    {
      retryAfterMs = null,
      progressed = false,
      unreachable = false,
      cause,
    }: { retryAfterMs?: number | null; progressed?: boolean; unreachable?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.retryAfterMs = retryAfterMs;
    this.progressed = progressed;
    this.unreachable = unreachable;
  }
}

export type Retrying = {
  sleep: (ms: number) => Promise<void>;
  random: () => number;
  /** Called before each wait. */
  note: (line: string) => void;
  /** Ends the attempts and the waits. `sleep` must end with it too. */
  signal?: AbortSignal | undefined;
};

const ATTEMPTS = 6;
/** For a server that was not reached once. If it was, the network is only gone for a while. */
const UNREACHABLE_ATTEMPTS = 2;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
/** If a server asks for a longer wait than this, we do not wait: the user should decide. */
const LONGEST_ASKED_WAIT_MS = 300_000;

/** Waits in real time, and says so on stderr. */
export function patient(signal?: AbortSignal): Retrying {
  return {
    sleep: (ms) => sleepMs(ms, undefined, { signal }),
    random: Math.random,
    // On a terminal, this line may already hold a progress bar.
    note: (line) => void process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${line}\n`),
    signal,
  };
}

/**
 * Retries only a `TransientError`. Gives up after six attempts in a row without progress, and after
 * two if the server was never reached. When `signal` aborts, throws its reason.
 */
export async function withRetries<T>(attempt: () => Promise<T>, { sleep, random, note, signal }: Retrying): Promise<T> {
  let reached = false;
  for (let failures = 0; ; ) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      failures = error.progressed ? 1 : failures + 1;
      reached ||= !error.unreachable;
      if (!reached && failures >= UNREACHABLE_ATTEMPTS) throw new Error(error.message, { cause: error });
      if (failures >= ATTEMPTS) throw new Error(`${error.message} (${ATTEMPTS} attempts)`, { cause: error });
      const { retryAfterMs } = error;
      if (retryAfterMs !== null && retryAfterMs > LONGEST_ASKED_WAIT_MS) {
        throw new Error(`${error.message}; it asks to come back in ${Math.ceil(retryAfterMs / 1000)} s`, {
          cause: error,
        });
      }
      const doubled = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1));
      const wait = retryAfterMs ?? doubled * (0.5 + random() / 2);
      if (reached) note(`${error.message}; trying again in ${(wait / 1000).toFixed(1)} s`);
      await sleep(wait).catch((aborted: unknown) => {
        signal?.throwIfAborted();
        throw aborted;
      });
    }
  }
}

/**
 * Reads `Retry-After`, which is in seconds or a date (RFC 9110, section 10.2.3). Returns null if it
 * is missing or makes no sense.
 */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
