/**
 * Preloaded (`node --import`) into every process that `serve` starts. However the parent ends, the
 * channel to it closes, and this process then stops as if it had got SIGTERM. Without this, a
 * killed parent would leave backends running.
 */
import { isMainThread } from 'node:worker_threads';

/** Longer than any orderly shutdown takes. */
const LAST_RESORT_MS = 15_000;

// Worker threads inherit the preload but must not act on it.
if (isMainThread && process.channel) {
  process.once('disconnect', () => {
    setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  // This listener must not keep alive a process that has nothing else to do.
  process.channel.unref();
}
