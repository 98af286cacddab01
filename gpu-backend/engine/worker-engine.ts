/**
 * The engine of a served bundle, in a thread of its own: onnxruntime's `run()` blocks its thread,
 * and HTTP must not wait for that.
 */
import { Worker } from 'node:worker_threads';
import { DEFAULT_LIMITS, type Engine, type EngineLimits } from './engine.ts';
import { EngineClient } from './engine-client.ts';

export type WorkerOptions = { dir: string; threads: number; limits: EngineLimits };

export async function startWorkerEngine({
  dir,
  threads = 0,
  limits,
}: {
  /** The bundle's folder. */
  dir: string;
  /** The threads that onnxruntime uses inside one operator; 0 means one per core. */
  threads?: number;
  limits?: Partial<EngineLimits>;
}): Promise<Engine> {
  const workerData: WorkerOptions = { dir, threads, limits: { ...DEFAULT_LIMITS, ...limits } };
  const worker = new Worker(new URL('./engine-thread.ts', import.meta.url), { workerData });
  const closed = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve());
    // 'exit' follows. Without a listener, the error would end this process, not just this engine.
    worker.once('error', (error) => console.error('the engine thread failed:', error));
  });
  return EngineClient.connect(worker, closed, workerData.limits);
}
