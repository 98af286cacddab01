/**
 * llama.cpp, through node-llama-cpp, as an oracle for tests and a peer for benchmarks. It runs in a
 * process of its own: `bench/peers/llama-process.mjs`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { installOwnPackages } from './own-packages.ts';

const FOLDER = path.join(import.meta.dirname, '../bench/peers');

export type LlamaOptions = {
  /** A GGUF file. */
  file: string;
  /** In tokens. */
  contextSize?: number;
  /**
   * Keys and values stay f32, and attention uses the plain kernels. Otherwise llama.cpp does as it
   * likes: keys and values in f16.
   */
  exact?: boolean;
  threads?: number;
};

/** A token, and its logit less the largest one. */
export type Likely = { id: number; logit: number };

/**
 * Installs llama.cpp if it is not here yet. Returns why this machine cannot have it, if it cannot.
 */
export async function installLlamaCpp(): Promise<string | undefined> {
  if (process.platform === 'linux' && !['x64', 'arm64'].includes(process.arch)) {
    return `llama.cpp has no build for ${process.platform}-${process.arch} here`;
  }
  return installOwnPackages(FOLDER);
}

/** One model in one process. Call `installLlamaCpp` before, and `close` at the end. */
export class LlamaCpp {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #asked = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
      const asked = this.#pending.get(id)!;
      this.#pending.delete(id);
      if (error === undefined) asked.resolve(result);
      else asked.reject(new Error(`llama.cpp: ${error}`));
    });
    child.on('exit', (code, signal) => {
      for (const asked of this.#pending.values()) asked.reject(new Error(`llama.cpp ended with ${signal ?? code}`));
    });
  }

  /** A model that can answer. */
  static async open({ exact = false, threads = 2, ...options }: LlamaOptions): Promise<LlamaCpp> {
    return LlamaCpp.#start({ ...options, exact, threads });
  }

  /** A model that can only `embed`. */
  static openForEmbeddings({ file, contextSize = 256 }: LlamaOptions): Promise<LlamaCpp> {
    return LlamaCpp.#start({ file, contextSize, threads: 1, embeddings: true });
  }

  /** A model that can `tokenize` and give `streams`, each call in a context of its own. */
  static openForStreams(file: string, { threads }: { threads: number }): Promise<LlamaCpp> {
    return LlamaCpp.#start({ file, threads, modelOnly: true });
  }

  /** A model that can only `tokenize`. */
  static openTokenizer(file: string): Promise<LlamaCpp> {
    return LlamaCpp.#start({ file, threads: 1, tokenizerOnly: true });
  }

  static async #start(options: Record<string, unknown>): Promise<LlamaCpp> {
    const child = fork(path.join(FOLDER, 'llama-process.mjs'), {
      // Without the parent's: vitest has some that only its own files need.
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const llama = new LlamaCpp(child);
    try {
      await llama.#ask('load', options);
    } catch (error) {
      await llama.close();
      throw error;
    }
    return llama;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Each text's ids. With `special`, texts such as `<|im_start|>` are control tokens. */
  tokenize(texts: readonly string[], { special }: { special: boolean }): Promise<number[][]> {
    return this.#ask('tokenize', { texts, special });
  }

  /**
   * A greedy answer of `count` tokens. For each of them: the `top` likeliest tokens at this place,
   * likeliest first. The first one is the answer's.
   */
  greedy(prompt: readonly number[], options: { count: number; top: number }): Promise<Likely[][]> {
    return this.#ask('greedy', { prompt, ...options });
  }

  /** A greedy answer of `count` tokens, in ids. */
  answer(prompt: readonly number[], { count }: { count: number }): Promise<number[]> {
    return this.#ask('answer', { prompt, count });
  }

  /**
   * Greedy answers of `count` tokens to all prompts at once. Returns when they began, when each
   * token came, both in milliseconds, and the memory of the process after the last one, in bytes.
   * Keys and values are f16, and `contextSize` is that of each sequence.
   */
  streams(
    prompts: readonly (readonly number[])[],
    options: { count: number; contextSize: number; threads: number },
  ): Promise<{ began: number; times: number[][]; memory: number }> {
    return this.#ask('streams', { prompts, ...options });
  }

  /** For each id, read alone: its last hidden state after the final norm, [d]. */
  embed(ids: readonly number[]): Promise<Float64Array[]> {
    return this.#ask('embed', { ids });
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  #ask<T>(operation: string, options: object): Promise<T> {
    const id = this.#asked++;
    const asked = Promise.withResolvers<unknown>();
    this.#pending.set(id, asked);
    this.#child.send({ id, operation, options });
    // The process is ours, and each operation returns what its method here says.
    return asked.promise as Promise<T>;
  }
}
