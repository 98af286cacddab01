/**
 * From one run for many steps to one promise for each. Runs wait for those before them, so that a
 * driver never meets itself halfway.
 */
import type { Output } from './experts.ts';

export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param run says per step what came of it; if it throws instead, that is the fate of every step
   * @returns one promise a step, in order
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

  /** Settles when everything asked for so far has. */
  async rest(): Promise<void> {
    await this.#last;
  }
}

/** What was thrown, as an error whatever it was. */
export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
