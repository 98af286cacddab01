/**
 * Turns one run of many steps into one promise per step. A run waits for those before it, so a
 * driver never does two runs at once.
 */
import type { Output } from './experts.ts';

export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param run returns the outcome of each step; if it throws, that is the outcome of every step
   * @returns one promise per step, in order
   */
  settle(count: number, run: () => Promise<readonly (Output | Error)[]>): Promise<Output>[] {
    const results = this.#last.then(run);
    this.#last = results.catch(() => {});
    return Array.from({ length: count }, async (_, i) => {
      const result = (await results)[i] ?? new Error('the driver forgot a step');
      if (result instanceof Error) throw result;
      return result;
    });
  }

  /** Settles when all runs requested so far have settled. */
  async rest(): Promise<void> {
    await this.#last;
  }
}

/** Whatever was thrown, as an error. */
export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
