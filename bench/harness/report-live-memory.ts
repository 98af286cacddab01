/**
 * Preloaded into a process whose live memory is to be known, and so into its worker's thread too:
 * see live-memory.ts. When the parent asks, both threads collect their garbage, and the main thread
 * sends what is left.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';
import { collectGarbage } from '#gpu-backend/engine/collect-garbage.ts';
import { type LiveMemory, MEASURE } from './live-memory.ts';

/** From the second on, the figure stays the same to 0.2 MB. */
const COLLECTIONS = 3;
/** Enough for finalizers, which run after a collection and let go of more. */
const BETWEEN_MS = 20;

const threads = new BroadcastChannel('plimsoll-bench-live-memory');

if (!isMainThread) {
  threads.onmessage = async ({ data }) => {
    if (data === MEASURE) threads.postMessage(await liveBytes());
  };
} else if (process.channel) {
  process.on('message', async (message) => {
    if (message !== MEASURE) return;
    const worker = new Promise<number>((resolve) => {
      threads.onmessage = ({ data }) => resolve(data);
    });
    threads.postMessage(MEASURE);
    const live: LiveMemory = { main: await liveBytes(), worker: await worker };
    process.send!(live);
  });
  process.channel.unref();
}
// Neither channel may keep alive a thread that has nothing else to do.
threads.unref();

async function liveBytes(): Promise<number> {
  for (let i = 0; i < COLLECTIONS; i++) {
    collectGarbage();
    await sleep(BETWEEN_MS);
  }
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}
