/**
 * A backend in a process of its own, to be killed: the real server and the real engine over
 * scripted experts. Its settings are the one argument, as JSON. It prints `ready` and its URL.
 */

import type { Script } from '#gpu-backend/engine/scripted-experts.ts';
import { babble, SCRIPTED_VOCAB, startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { serveEngine } from '#gpu-backend/server/start-backend.ts';
import type { BackendSettings } from './killed-backend.ts';

/** Bytes of characters and of stop strings: tokens cut both all the time. The end is rare. */
const PIECES = new Set(new TextEncoder().encode('€⚓é😀abc##'));
const script: Script = (source, ids, bounds) => {
  // The last tokens decide, so that a long answer costs no more per token than a short one.
  const logits = babble(source, ids.slice(-24), bounds);
  return Array.from({ length: SCRIPTED_VOCAB }, (_, id) =>
    id === 0 ? -6 : PIECES.has(id) ? 3 + logits[id]! / 3 : logits[id]! / 2 - 3,
  );
};

// The cast is safe: killed-backend.ts wrote it.
const { port, backendId, stepMs, ...secrets } = JSON.parse(process.argv[2]!) as BackendSettings;
const engine = await startScriptedEngine({ script, stepMs, contextLength: 512, limits: { maxRows: 64 } });
const backend = await serveEngine(
  engine,
  (messages) => ({
    promptIds: [...new TextEncoder().encode(messages.map(({ content }) => content).join('\n'))],
    rowPrompts: {},
  }),
  { ...secrets, port, backendId, host: '127.0.0.1', graceMs: 0, bodyLimitBytes: 1 << 20, hostNames: null },
  // What a killed neighbour causes here is no news.
  { log: () => undefined },
);
console.log(`ready ${backend.url}`);
