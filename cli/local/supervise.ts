/** Keeps a process alive: restarts it when it exits or stops answering, with growing delays. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Running } from './start-process.ts';

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;
/** A process that ran this long was fine, so the delays start over. */
const STEADY_MS = 30_000;
const CHECK_EVERY_MS = 5_000;
/**
 * This many checks must fail in a row, and each may use its whole time limit. A machine that is
 * merely busy must not lose a backend.
 */
const FAILED_CHECKS = 3;

export type Supervised = {
  /** Rejects if the first start fails. That start is not retried. */
  ready: Promise<void>;
  /** Resolves once the process is gone, after `signal` has fired or the first start has failed. */
  closed: Promise<void>;
};

export type SuperviseOptions = {
  start: () => Promise<Running>;
  /** Rejects if the process does not answer. It sets its own time limit. */
  check?: () => Promise<unknown>;
  /** Ends the supervision. `start` uses the same signal to end the process. */
  signal: AbortSignal;
  log: (message: string) => void;
  now?: () => number;
  /** Rejects when the signal fires. */
  sleep?: Sleep;
};
type Sleep = (ms: number, signal: AbortSignal) => Promise<void>;
const sleepInEarnest: Sleep = (ms, signal) => delay(ms, undefined, { signal });

export function supervise(
  name: string,
  { start, check, signal, log, now = Date.now, sleep = sleepInEarnest }: SuperviseOptions,
): Supervised {
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => undefined);

  const keepRunning = async () => {
    let running = await start();
    ready.resolve();
    for (let delayMs = FIRST_DELAY_MS; ; ) {
      const began = now();
      const how = await endOf(running);
      if (signal.aborted) return;
      if (now() - began > STEADY_MS) delayMs = FIRST_DELAY_MS;
      log(`${name} ended (${how}); starting it again in ${delayMs / 1000} s`);
      for (let started = false; !started; ) {
        await sleep(delayMs, signal);
        delayMs = Math.min(2 * delayMs, LONGEST_DELAY_MS);
        try {
          running = await start();
          started = true;
        } catch (error) {
          signal.throwIfAborted();
          log(`${name} did not start (${(error as Error).message}); trying again in ${delayMs / 1000} s`);
        }
      }
    }
  };

  const endOf = async (running: Running): Promise<string> => {
    if (check === undefined) return running.ended;
    const over = new AbortController();
    const hung = hangs(check, { over: over.signal, sleep }).then((yes) => {
      if (yes) running.kill();
      return yes;
    });
    const how = await running.ended;
    over.abort();
    return (await hung) ? `${how}, as it no longer answered` : how;
  };

  const closed = keepRunning().catch((cause: Error) => {
    ready.reject(new Error(`${name} did not start: ${cause.message}`, { cause }));
  });
  return { ready: ready.promise, closed };
}

/** True once enough checks in a row have failed, false when `over` fires. */
async function hangs(
  check: () => Promise<unknown>,
  { over, sleep }: { over: AbortSignal; sleep: Sleep },
): Promise<boolean> {
  for (let failed = 0; failed < FAILED_CHECKS; ) {
    try {
      await sleep(CHECK_EVERY_MS, over);
    } catch {
      return false;
    }
    failed = await check().then(
      () => 0,
      () => failed + 1,
    );
  }
  return true;
}
