/**
 * Preloaded (`node --import`) into every process that `serve` starts. However the parent goes, the
 * channel to it closes, and this process then stops as if it had been told to. Without this, a
 * killed parent would leave backends behind.
 */
import { isMainThread } from 'node:worker_threads';

/** Longer than any orderly shutdown takes. */
const LAST_RESORT_MS = 15_000;

// Threads inherit the preload and must not act on it.
if (isMainThread && process.channel) {
  process.once('disconnect', () => {
    setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  // A process with nothing else to do must not stay alive for this listener.
  process.channel.unref();
}
