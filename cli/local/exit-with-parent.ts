/**
 * Preloaded (`node --import`) into every process that `serve` starts: when the parent is gone, however it went, the
 * channel to it closes and this process stops as if it had been told to. Without this, a killed parent leaves backends behind.
 */
import { isMainThread } from 'node:worker_threads';

/** Longer than any orderly end takes. */
const LAST_RESORT_MS = 15_000;

// Threads inherit the preload.
if (isMainThread && process.channel) {
  process.once('disconnect', () => {
    setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  // Listening must not keep a process alive that has nothing else to do.
  process.channel.unref();
}
