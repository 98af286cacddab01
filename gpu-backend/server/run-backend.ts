/**
 * Runs the backend as a process: it takes settings from the environment, prints one `ready` line,
 * and ends in order on SIGTERM or SIGINT.
 */
import { readConfig } from './config.ts';
import { startBackend } from './start-backend.ts';

export type RunOptions = {
  env: Readonly<Record<string, string | undefined>>;
  /** Where the signals arrive. */
  signals?: { on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown };
  /** Gets the `ready` line. */
  print?: (line: string) => void;
  start?: typeof startBackend;
};

/**
 * Starts a backend and resolves once a signal has stopped it. Rejects if it cannot start, or if its
 * engine stops by itself: a backend that can answer nobody must not look alive to its supervisor.
 */
export async function runBackend({
  env,
  signals = process,
  print = console.log,
  start = startBackend,
}: RunOptions): Promise<void> {
  const backend = await start(readConfig(env));
  const end = new Promise<'signal' | 'failure'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) signals.on(signal, () => resolve('signal'));
    void backend.engineStopped.then(() => resolve('failure'));
  });
  print(`ready ${backend.url}`);
  const why = await end;
  await backend.close();
  if (why === 'failure') throw new Error('the engine stopped');
}
