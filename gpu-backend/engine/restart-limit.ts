/**
 * How often a thread that dies may start again. The first one that dies is soon back. One that dies
 * again and again waits longer each time, and then is given up: whatever is wrong may be wrong with
 * the whole process, which its supervisor can start anew.
 */

/** In a row: a thread that served for `STEADY_MS` was well, and the count starts over. */
export const MOST_RESTARTS = 3;
const STEADY_MS = 60_000;
const FIRST_WAIT_MS = 250;

export type Limit = {
  /** Call this when a thread is loaded and serves. */
  began(): void;
  /**
   * Call this when a thread has died. Returns how many ms to wait, or null if it must not come
   * back.
   */
  died(): number | null;
};

export class RestartLimit implements Limit {
  readonly #now: () => number;
  /** How many have died in a row. */
  #deaths = 0;
  /** When the current thread began to serve; null if it has not. */
  #servesSince: number | null = null;

  /** @param now returns milliseconds */
  constructor({ now = performance.now.bind(performance) }: { now?: () => number } = {}) {
    this.#now = now;
  }

  began(): void {
    this.#servesSince = this.#now();
  }

  died(): number | null {
    const since = this.#servesSince;
    this.#servesSince = null;
    if (since !== null && this.#now() - since >= STEADY_MS) this.#deaths = 0;
    this.#deaths++;
    return this.#deaths > MOST_RESTARTS ? null : FIRST_WAIT_MS * 2 ** (this.#deaths - 1);
  }
}
