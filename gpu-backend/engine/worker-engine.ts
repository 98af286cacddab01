/**
 * The engine of a served bundle, in a thread of its own: onnxruntime's `run()` blocks its thread,
 * and HTTP must not wait for that.
 */
import { Worker } from 'node:worker_threads';
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
    start: () => startThread(workerData),
    idleMs,
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

function startThread(workerData: WorkerOptions): EngineThread {
  const worker = new Worker(new URL('./engine-thread.ts', import.meta.url), { workerData });
  const gone = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve());
    // 'exit' follows. Without a listener, the error would end this process, not just this engine.
    worker.once('error', (error) => console.error('the engine thread failed:', error));
  });
  return { port: worker, gone };
}
