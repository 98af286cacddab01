/** An engine whose thread comes back when it slept or died. See sleeping-thread.ts. */
import type { Engine } from './engine.ts';
import { type ClientOptions, EngineClient } from './engine-client.ts';
import { type SleepingOptions, SleepingThread } from './sleeping-thread.ts';

/** Resolves once the engine has been loaded for the first time. */
export function startSleepingEngine({
  start,
  idleMs,
  warn = (message, cause) => console.error(...(cause === undefined ? [message] : [message, cause])),
  restarts,
  ...options
}: Omit<SleepingOptions, 'warn'> &
  Partial<Pick<SleepingOptions, 'warn'>> &
  Omit<ClientOptions, 'thread'>): Promise<Engine> {
  const thread = new SleepingThread({ start, idleMs, warn, ...(restarts && { restarts }) });
  return EngineClient.connect(thread, thread.closed, { ...options, thread });
}
