/**
 * A program in a process of its own, which answers questions: its memory and its threads are its
 * own, and a crash of native code ends no other. The program calls `answerQuestions` (see
 * answer-questions.ts) with its operations; whoever starts it has their types.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** A program's operations by name. Each takes one argument, plain data, and returns plain data. */
// A table of functions of any kind: never would refuse those with an argument.
export type Operations = Record<string, (options: never) => unknown>;

export class AskedProcess<O extends Operations> {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #asked = 0;

  /** Starts the program at `file`. Call `close` at the end. */
  constructor(file: URL) {
    this.#child = fork(file, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
      const asked = this.#pending.get(id)!;
      this.#pending.delete(id);
      if (error === undefined) asked.resolve(result);
      else asked.reject(new Error(error));
    });
    this.#child.on('exit', (code, signal) => {
      for (const asked of this.#pending.values()) asked.reject(new Error(`${file} ended with ${signal ?? code}`));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Questions are answered in the order in which they were asked. */
  ask<K extends keyof O & string>(operation: K, options: Parameters<O[K]>[0]): Promise<Awaited<ReturnType<O[K]>>> {
    const id = this.#asked++;
    const asked = Promise.withResolvers<unknown>();
    this.#pending.set(id, asked);
    this.#child.send({ id, operation, options });
    // The program is ours, and its operations have these types.
    return asked.promise as Promise<Awaited<ReturnType<O[K]>>>;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
