/**
 * How fast threads of this machine read memory together. Each sums a buffer of its own with
 * WebAssembly's vectors, in eight places at once: a core asks for more at a time than it would in
 * one place, and no sum waits for another. All buffers together are larger than any cache.
 */
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import wabt from 'wabt';

/** Of all threads together. Server processors have caches of some hundred megabytes. */
const TOTAL_BYTES = 2 ** 30;
const PAGE_BYTES = 2 ** 16;
const PASSES = 4;
const VECTOR_BYTES = 16;
const STREAMS = 8;
const LINE_BYTES = 64;

export type ReadBandwidth = {
  /** Bytes a second of all threads together, the best of some passes. */
  bytesPerSecond(): Promise<number>;
  close(): Promise<void>;
};

/** Threads that can read, each with its part of the buffer filled. */
export async function openReadBandwidth({ threads = availableParallelism() } = {}): Promise<ReadBandwidth> {
  const bytes = Math.floor(TOTAL_BYTES / threads / PAGE_BYTES) * PAGE_BYTES;
  const workers = Array.from({ length: threads }, () => {
    return new Worker(new URL(import.meta.url), { workerData: { bytes } satisfies Task });
  });
  const answers = () => Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  await answers();
  return {
    async bytesPerSecond() {
      let best = 0;
      for (let pass = 0; pass < PASSES; pass++) {
        const read = answers();
        const began = performance.now();
        for (const worker of workers) worker.postMessage('read');
        await read;
        best = Math.max(best, (1000 * bytes * threads) / (performance.now() - began));
      }
      return best;
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

type Task = { bytes: number };

/** `sum(end)` adds up all vectors in [0, end). */
function text(): string {
  const each = (line: (i: number) => string) => Array.from({ length: STREAMS }, (_, i) => line(i)).join('\n');
  const loads = (i: number) =>
    Array.from({ length: LINE_BYTES / VECTOR_BYTES }, (_, v) => {
      const load = `(v128.load offset=${v * VECTOR_BYTES} (local.get $at${i}))`;
      return `(local.set $sum${i} (i64x2.add (local.get $sum${i}) ${load}))`;
    }).join('\n');
  return `(module
    (import "own" "memory" (memory 0))
    (func (export "sum") (param $end i32) (result i64)
      (local $part i32)
      ${each((i) => `(local $sum${i} v128) (local $at${i} i32)`)}
      (local.set $part (i32.div_u (local.get $end) (i32.const ${STREAMS})))
      ${each((i) => `(local.set $at${i} (i32.mul (local.get $part) (i32.const ${i})))`)}
      (loop $next
        ${each((i) => `${loads(i)} (local.set $at${i} (i32.add (local.get $at${i}) (i32.const ${LINE_BYTES})))`)}
        (br_if $next (i32.lt_u (local.get $at0) (local.get $part))))
      ${each((i) => (i === 0 ? '' : `(local.set $sum0 (i64x2.add (local.get $sum0) (local.get $sum${i})))`))}
      (i64.add (i64x2.extract_lane 0 (local.get $sum0)) (i64x2.extract_lane 1 (local.get $sum0)))))`;
}

async function readForParent({ bytes }: Task): Promise<void> {
  const memory = new WebAssembly.Memory({ initial: bytes / PAGE_BYTES });
  // Pages that were never written are all the same page of zeros, and in the cache.
  new BigInt64Array(memory.buffer).fill(1n);
  const module = (await wabt()).parseWat('sum.wat', text(), { simd: true });
  const compiled = new WebAssembly.Module(module.toBinary({}).buffer);
  const { exports } = new WebAssembly.Instance(compiled, { own: { memory } });
  // The text above says so.
  const sum = exports.sum as (end: number) => bigint;
  const port = parentPort!;
  const wanted = BigInt(bytes / 8);
  port.on('message', () => {
    const found = sum(bytes);
    if (found !== wanted) throw new Error(`the sum of ${bytes / 8} ones: found ${found}, wanted ${wanted}`);
    port.postMessage('done');
  });
  port.postMessage('ready');
}

// workerData of these threads is the task above.
if (!isMainThread) await readForParent(workerData as Task);
