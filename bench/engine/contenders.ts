/** Starts what is compared, each in a process of its own, and ends it. */
import { LlamaCpp } from '../../test/llama-cpp.ts';
import { AskedProcess } from './ask-process.ts';
import type { EngineProgram } from './engine-program.ts';
import type { ExpertsProgram } from './experts-program.ts';
import type { ShareProgram } from './share-program.ts';

export type EngineProcess = AskedProcess<EngineProgram>;
export type ExpertsProcess = AskedProcess<ExpertsProgram>;
export type ShareProcess = AskedProcess<ShareProgram>;

type Place = { threads: number; context: number };

/** Starts contenders, and ends those that it started. */
export class Contenders {
  readonly #open: { close(): Promise<void> }[] = [];

  /** The whole engine over a bundle, with room for `rows` sequences and, if told, for prefixes. */
  async engine(bundle: string, options: Place & { rows: number; prefixBytes?: number }): Promise<EngineProcess> {
    const started = this.keep(new AskedProcess<EngineProgram>(new URL('./engine-program.ts', import.meta.url)));
    await started.ask('load', { bundle, ...options });
    return started;
  }

  /** The experts alone. */
  async experts(bundle: string, options: Place): Promise<ExpertsProcess> {
    const started = this.keep(new AskedProcess<ExpertsProgram>(new URL('./experts-program.ts', import.meta.url)));
    await started.ask('load', { bundle, ...options });
    return started;
  }

  /** An engine that notes how long its experts take. */
  async share(bundle: string, options: Place): Promise<ShareProcess> {
    const started = this.keep(new AskedProcess<ShareProgram>(new URL('./share-program.ts', import.meta.url)));
    await started.ask('load', { bundle, ...options });
    return started;
  }

  async llamaCpp(gguf: string, options: { threads: number }): Promise<LlamaCpp> {
    return this.keep(await LlamaCpp.openForStreams(gguf, options));
  }

  /** Ends this one too, with the others. */
  keep<T extends { close(): Promise<void> }>(started: T): T {
    this.#open.push(started);
    return started;
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((started) => started.close()));
  }
}

/** Gives `use` contenders, and ends them afterwards. */
export async function withContenders<T>(use: (contenders: Contenders) => Promise<T>): Promise<T> {
  const contenders = new Contenders();
  try {
    return await use(contenders);
  } finally {
    await contenders.close();
  }
}
