/**
 * The engine of a served bundle, in a thread of its own: onnxruntime's `run()` blocks its thread,
 * and HTTP must not wait for that.
 */
import { type ResourceLimits, Worker } from 'node:worker_threads';
import { chooseProvider } from '../graph/choose-provider.ts';
import type { Provider, ProviderChoice } from '../graph/provider.ts';
import { DEFAULT_LIMITS, type Engine, type EngineLimits } from './engine.ts';
import { startSleepingEngine } from './sleeping-engine.ts';
import type { EngineThread } from './sleeping-thread.ts';

export type WorkerOptions = {
  dir: string;
  threads: number;
  provider: Provider;
  contextLength: number | null;
  limits: EngineLimits;
};

/**
 * True while an engine of this process runs on WebGPU. Its threads would share one device, and two
 * runs at the same time crash the process (onnxruntime-node 1.30.0, seen on SwiftShader).
 */
let webGpuTaken = false;

export async function startWorkerEngine({
  dir,
  threads = 0,
  provider: choice = 'cpu',
  contextLength = null,
  limits,
  idleMs = null,
  onPassedOver = () => {},
  warn,
  thread = {},
}: {
  /** The bundle's folder. */
  dir: string;
  /** The threads that onnxruntime uses inside one operator; 0 means one per core. */
  threads?: number;
  /** What runs the graph. With `auto`, `info.provider` says what it came to. */
  provider?: ProviderChoice;
  /** Tokens of prompt and answer together, if fewer than the model's; null for all of them. */
  contextLength?: number | null;
  limits?: Partial<EngineLimits>;
  /**
   * How long nobody must have asked before the thread ends and gives its memory back. The next
   * request loads the bundle again. null means never.
   */
  idleMs?: number | null;
  /** Gets the reasons why `auto` did not take another provider. */
  onPassedOver?: (why: string) => void;
  /** Writes to the log of whoever runs the engine, above all that its thread died. */
  warn?: (message: string, cause?: unknown) => void;
  /** Another thread than engine-thread.ts, for tests: its file, and the limits of its heap. */
  thread?: { file?: URL; resourceLimits?: ResourceLimits };
}): Promise<Engine> {
  const { provider, passedOver } = await chooseProvider(choice);
  for (const why of passedOver) onPassedOver(why);
  if (provider === 'webgpu') {
    if (webGpuTaken)
      throw new Error('provider webgpu: another engine of this process runs on it; start a process of its own');
    webGpuTaken = true;
  }
  const workerData: WorkerOptions = { dir, threads, provider, contextLength, limits: { ...DEFAULT_LIMITS, ...limits } };
  const starting = startSleepingEngine({
    start: () => startThread(workerData, thread),
    idleMs,
    ...(warn && { warn }),
    maxWaiting: workerData.limits.maxWaiting,
  });
  if (provider === 'webgpu') {
    // An engine that sleeps keeps its place, because it will be back.
    const free = () => {
      webGpuTaken = false;
    };
    void starting.then(({ closed }) => closed.then(free), free);
  }
  return starting;
}

const ENGINE_THREAD = new URL('./engine-thread.ts', import.meta.url);

function startThread(
  workerData: WorkerOptions,
  { file = ENGINE_THREAD, resourceLimits = {} }: { file?: URL; resourceLimits?: ResourceLimits },
): EngineThread {
  const worker = new Worker(file, { workerData, resourceLimits });
  let failure: unknown;
  // 'exit' follows. Without a listener, the error would end this process, not just the thread.
  worker.once('error', (error) => {
    failure = error;
  });
  const gone = new Promise<unknown>((resolve) => {
    worker.once('exit', (code) => resolve(failure ?? `it exited with code ${code}`));
  });
  return { port: worker, gone };
}
