/**
 * An engine in this thread, over a message channel like any other. Tests use it for the scripted
 * engine; measurements use it too.
 */
import { MessageChannel } from 'node:worker_threads';
import { DEFAULT_LIMITS, type Engine, type EngineLimits } from './engine.ts';
import { EngineClient } from './engine-client.ts';
import { type HostOptions, hostEngine } from './engine-host.ts';
import type { EngineThread } from './sleeping-thread.ts';

export async function startLocalEngine({
  limits,
  ...options
}: Omit<HostOptions, 'limits'> & { limits?: Partial<EngineLimits> }): Promise<Engine> {
  const all = { ...DEFAULT_LIMITS, ...limits };
  const { port, gone } = startLocalThread({ ...options, limits: all });
  return EngineClient.connect(
    port,
    gone.then(() => undefined),
    all,
  );
}

/** The other side of such an engine: what a thread would be, without the thread. */
export function startLocalThread(options: HostOptions): EngineThread {
  const { port1, port2 } = new MessageChannel();
  const gone = new Promise<void>((resolve) => port2.once('close', resolve));
  hostEngine(port1, options, () => port1.close());
  return { port: port2, gone };
}
