/**
 * An unbounded queue with one reader, who gets every item in order until the queue ends or fails.
 */
export class EventQueue<T> {
  #items: T[] = [];
  #done = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  push(...items: T[]): void {
    if (this.#done) return;
    this.#items.push(...items);
    this.#wake?.();
  }

  end(): void {
    this.#done = true;
    this.#wake?.();
  }

  /** The reader gets the items pushed before, then the error. */
  fail(error: unknown): void {
    if (this.#done) return;
    this.#error = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift()!;
      if (this.#done) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }
}
