/**
 * The engine's own thread, which dies when a request tells it to: one of tenant `exit after 5` ends
 * it by an exit once the thread has reported five tokens of any request. While a file
 * `dies-loading` lies in the bundle's folder, the thread dies before it is loaded.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { FromEngine, ToEngine } from '../engine-messages.ts';
import type { WorkerOptions } from '../worker-engine.ts';

const DEATHS = {
  throw: () => {
    throw new Error('killed by a test');
  },
  exit: () => process.exit(7),
  heap: () => {
    const held: unknown[] = [];
    for (;;) held.push(Array.from({ length: 1000 }, (_, i) => ({ i })));
  },
};
export type Death = keyof typeof DEATHS;

/** The tenant of a request that ends the thread. */
export const diesBy = (how: Death, { afterTokens }: { afterTokens: number }) => `${how} after ${afterTokens}`;

if (parentPort !== null) {
  const port = parentPort;
  // Only worker-engine.ts starts this file, with these options.
  const { dir } = workerData as WorkerOptions;
  if (existsSync(path.join(dir, 'dies-loading'))) process.exit(9);
  let die: (() => void) | undefined;
  let tokensLeft = 0;
  port.on('message', (message: ToEngine) => {
    const order = message.type === 'submit' && /^(throw|exit|heap) after (\d+)$/.exec(message.request.tenant ?? '');
    if (!order) return;
    // The cast is safe: the expression has the keys of the table.
    die = DEATHS[order[1] as Death];
    tokensLeft = Number(order[2]);
  });
  const post = port.postMessage.bind(port);
  port.postMessage = (message: FromEngine) => {
    post(message);
    if (die === undefined || message.type !== 'news') return;
    for (const outcome of message.outcomes) {
      if ('events' in outcome) tokensLeft -= outcome.events.filter(({ type }) => type === 'token').length;
    }
    if (tokensLeft <= 0) die();
  };
  await import('../engine-thread.ts');
}
