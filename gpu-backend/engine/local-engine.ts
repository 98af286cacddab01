/**
 * An engine in this thread, over a message channel like any other. Tests use it for the scripted
 * engine; measurements use it too.
 */
import { MessageChannel } from 'node:worker_threads';
import { DEFAULT_LIMITS, type Engine, type EngineLimits } from './engine.ts';
import { EngineClient } from './engine-client.ts';
import { type HostOptions, hostEngine } from './engine-host.ts';

export async function startLocalEngine({
  limits,
  ...options
}: Omit<HostOptions, 'limits'> & { limits?: Partial<EngineLimits> }): Promise<Engine> {
  const { port1, port2 } = new MessageChannel();
  const closed = new Promise<void>((resolve) => port2.once('close', resolve));
  const all = { ...DEFAULT_LIMITS, ...limits };
  hostEngine(port1, { ...options, limits: all }, () => port1.close());
  return EngineClient.connect(port2, closed, all);
}
