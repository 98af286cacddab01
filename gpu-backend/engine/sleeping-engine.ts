/** An engine that gives its memory back while nobody asks. See sleeping-thread.ts. */
import type { Engine } from './engine.ts';
import { type ClientOptions, EngineClient } from './engine-client.ts';
import { type SleepingOptions, SleepingThread } from './sleeping-thread.ts';

/** Resolves once the engine has been loaded for the first time. */
export function startSleepingEngine({
  start,
  idleMs,
  warn = (message) => console.error(message),
  ...options
}: Omit<SleepingOptions, 'warn'> &
  Partial<Pick<SleepingOptions, 'warn'>> &
  Omit<ClientOptions, 'state'>): Promise<Engine> {
  const thread = new SleepingThread({ start, idleMs, warn });
  return EngineClient.connect(thread, thread.closed, { ...options, state: () => thread.state });
}
