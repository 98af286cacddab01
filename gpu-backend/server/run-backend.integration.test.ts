import { EventEmitter } from 'node:events';
import { expect, test, vi } from 'vitest';
import { runBackend } from './run-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from './testing/backend-client.ts';

/** A backend that only counts how often it is closed. */
async function run() {
  const { receiptPrivateJwk } = await receiptKeys();
  const engine = Promise.withResolvers<void>();
  const close = vi.fn(async () => engine.resolve());
  const start = vi.fn(async () => ({ url: 'http://here:1', close, engineStopped: engine.promise }));
  const signals = new EventEmitter();
  const lines: string[] = [];
  const env = {
    PLIMSOLL_BUNDLE: 'models/demo',
    PLIMSOLL_DIRECTIVE_SECRET: SECRET,
    PLIMSOLL_DRAW_SECRET: DRAW_SECRET,
    PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(receiptPrivateJwk),
  };
  const running = runBackend({ env, signals, print: (line) => lines.push(line), start });
  await expect.poll(() => lines).toEqual(['ready http://here:1']);
  return { running, start, close, signals, stopEngine: engine.resolve };
}

test.each(['SIGTERM', 'SIGINT'])('closes the backend on %s, and then resolves', async (signal) => {
  const { running, start, close, signals } = await run();
  expect(start).toHaveBeenCalledWith(expect.objectContaining({ bundle: 'models/demo', port: 8788 }));
  expect(close).not.toHaveBeenCalled();
  signals.emit(signal);
  // Ctrl-C signals the whole process group, so the backend may get the signal twice.
  signals.emit(signal);
  await expect(running).resolves.toBeUndefined();
  expect(close).toHaveBeenCalledTimes(1);
});

test('closes the backend and rejects when the engine stops by itself', async () => {
  const { running, close, stopEngine } = await run();
  stopEngine();
  await expect(running).rejects.toThrow(/^the engine stopped$/);
  expect(close).toHaveBeenCalledTimes(1);
});

test('rejects bad settings without starting anything', async () => {
  const start = vi.fn();
  await expect(runBackend({ env: {}, start })).rejects.toThrow(/PLIMSOLL_BUNDLE: is not set/);
  expect(start).not.toHaveBeenCalled();
});
