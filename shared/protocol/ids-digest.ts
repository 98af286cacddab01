/** The digest of an answer's token ids: SHA-256 over each id as four bytes, the least first. */

const ID_BYTES = 4;

/** Token ids as bytes, in a buffer that grows with the answer. */
export class IdBytes {
  #bytes = new Uint8Array(64 * ID_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  constructor(ids: readonly number[] = []) {
    for (const id of ids) this.push(id);
  }

  /** How many ids there are. */
  get length(): number {
    return this.#length;
  }

  push(id: number): void {
    if ((this.#length + 1) * ID_BYTES > this.#bytes.length) this.#grow();
    this.#view.setUint32(this.#length * ID_BYTES, id, true);
    this.#length++;
  }

  /** Forgets all ids after the first `length`. */
  cut(length: number): void {
    this.#length = Math.min(length, this.#length);
  }

  /** The ids as numbers. */
  ids(): number[] {
    return Array.from({ length: this.#length }, (_, i) => this.#view.getUint32(i * ID_BYTES, true));
  }

  /** What the digest is over. Valid until the next change. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length * ID_BYTES);
  }

  #grow(): void {
    const larger = new Uint8Array(2 * this.#bytes.length);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
