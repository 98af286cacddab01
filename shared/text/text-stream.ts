/**
 * The text of a growing answer. A byte-level token may end inside a UTF-8 character. Those bytes
 * wait for the next token, so that no client ever sees half a character. If the answer ends there,
 * the half character is dropped.
 *
 *     const stream = new TextStream((id) => tokenizer.bytesOf(id));
 *     stream.push(firstByteOfEuroSign); // ''
 *     const later = new TextStream(bytesOf, stream.state()); // carries on from here
 */

/** The bytes of an unfinished character, at most three. Plain data that survives JSON. */
export type TextState = { bytes: readonly number[] };

export class TextStream {
  readonly #decoder = newDecoder();
  readonly #bytesOf: (id: number) => Uint8Array | undefined;
  /** The last three bytes. No unfinished character is longer. */
  #tail: number[];

  /** @param bytesOf the bytes of a token; undefined if it has no text, like a special token */
  constructor(bytesOf: (id: number) => Uint8Array | undefined, { bytes }: TextState = { bytes: [] }) {
    this.#bytesOf = bytesOf;
    this.#tail = [...bytes];
    this.#decoder.decode(Uint8Array.from(bytes), { stream: true });
  }

  /** The text this token completes. A special token has none. */
  push(id: number): string {
    const bytes = this.#bytesOf(id);
    if (!bytes) return '';
    this.#tail = [...this.#tail, ...bytes.subarray(-3)].slice(-3);
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What a new stream needs to carry on from here. */
  state(): TextState {
    // The decoder does not tell which bytes it holds. They are the ending that decodes to no text
    // by itself. Any other ending decodes to text (or U+FFFD) at once. Earlier bytes do not matter,
    // because a first byte never continues another character.
    const endings = [1, 2, 3].filter((count) => count <= this.#tail.length).map((count) => this.#tail.slice(-count));
    const held = endings.find((bytes) => newDecoder().decode(Uint8Array.from(bytes), { stream: true }) === '');
    return { bytes: held ?? [] };
  }
}

const newDecoder = () => new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
