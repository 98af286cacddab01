/**
 * Buffers that are used again. A model's layers have tensors of the same few sizes, and new memory
 * for each of them costs more than converting their numbers: the system clears every page, and the
 * garbage collector runs each time that some tens of megabytes have gone by.
 */
export class BufferPool {
  readonly #free = new Map<number, ArrayBuffer[]>();
  #bytes = 0;
  readonly #most: number;

  /** @param most how many bytes lie here unused; the largest tensors of a model are too large */
  constructor({ most = 2 ** 26 }: { most?: number } = {}) {
    this.#most = most;
  }

  /** A buffer of exactly this size. What is in it is left over from before. */
  take(bytes: number): ArrayBuffer {
    const found = this.#free.get(bytes)?.pop();
    if (found === undefined) return new ArrayBuffer(bytes);
    this.#bytes -= bytes;
    return found;
  }

  /** Gives a buffer back. Nobody may use it afterwards. */
  give(buffer: ArrayBuffer): void {
    const { byteLength } = buffer;
    if (this.#bytes + byteLength > this.#most) return;
    const same = this.#free.get(byteLength) ?? [];
    this.#free.set(byteLength, [...same, buffer]);
    this.#bytes += byteLength;
  }
}
