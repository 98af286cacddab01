/**
 * The text of a growing answer. A byte-level token may end inside a UTF-8 character; those bytes wait for the next
 * token, so that no client ever sees half a character. An answer that ends there loses the half.
 *
 *     const stream = new TextStream((id) => tokenizer.bytesOf(id));
 *     stream.push(firstByteOfEuroSign); // ''
 */
export class TextStream {
  readonly #decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
  readonly #bytesOf: (id: number) => Uint8Array | undefined;

  constructor(bytesOf: (id: number) => Uint8Array | undefined) {
    this.#bytesOf = bytesOf;
  }

  /** The text this token completes. A special token has none. */
  push(id: number): string {
    const bytes = this.#bytesOf(id);
    return bytes ? this.#decoder.decode(bytes, { stream: true }) : '';
  }
}
