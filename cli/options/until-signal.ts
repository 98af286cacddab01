/** Runs work that a signal may stop. Exits with 130 then, like a training run that was stopped. */
import { StoppedBySignal } from '#training/run/stopped-by-signal.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `message` says what a stopped run leaves behind. A second signal ends the process at once. */
export async function untilSignal<T>(message: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => controller.abort(new StoppedBySignal(message));
  for (const name of SIGNALS) process.once(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, stop);
  }
}
