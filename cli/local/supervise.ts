/** Keeps one process running: started again, ever more slowly, whenever it ends by itself or no longer answers. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Running } from './start-process.ts';

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;
/** A process that ran this long was all right, so its end is a first one again. */
const STEADY_MS = 30_000;
const CHECK_EVERY_MS = 5_000;
/** In a row, each as long as a check may take: on a machine that is merely busy a backend must not be lost. */
const FAILED_CHECKS = 3;

export type Supervised = {
  /** Rejects if the process does not even start the first time; that is not retried. */
  ready: Promise<void>;
  /** Settles when `signal` has fired, or the first start failed, and the process is gone. */
  closed: Promise<void>;
};

export type SuperviseOptions = {
  start: () => Promise<Running>;
  /** Rejects, in its own time, if the process does not answer. */
  check?: () => Promise<unknown>;
  /** Ends the supervision; `start` gets the same and ends the process. */
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

/** True once enough checks in a row have failed; false when `over` fires. */
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
