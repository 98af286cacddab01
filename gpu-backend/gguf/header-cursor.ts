/**
 * Reads the header of a GGUF file field by field. A header does not say how long it is, so the
 * cursor gets the first bytes of the file and throws `NeedMoreBytes` if they are too few. The
 * caller then parses again with more. Every length and count is checked against the size of the
 * file before anything is allocated.
 */
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';

export class NeedMoreBytes extends Error {
  override readonly name = 'NeedMoreBytes';
  readonly wanted: number;

  constructor(wanted: number) {
    super(`wanted ${wanted} bytes`);
    this.wanted = wanted;
  }
}

/** A vocabulary of 262,144 tokens, with types, scores and merges, has 1.3 million. */
const MOST_ITEMS = 2 ** 22;

export class HeaderCursor {
  /** The name of the file in errors. */
  readonly file: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #limit: number;
  readonly #text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #position = 0;
  #items = 0;

  /** `bytes` are the first bytes of the file. The header may not go past `limit`. */
  constructor(bytes: Uint8Array, { file, limit }: { file: string; limit: number }) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#limit = limit;
    this.file = file;
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.#position;
  }

  /** Reads a field of `bytes` bytes. `key` says in errors what it is. */
  field<T>(key: string, bytes: number, read: (view: DataView, at: number) => T): T {
    return read(this.#view, this.#advance(key, bytes));
  }

  u32(key: string): number {
    return this.#view.getUint32(this.#advance(key, 4), true);
  }

  /** A 64-bit number, rounded above 2^53. No file is that large, so it is refused anyway. */
  u64(key: string): number {
    return Number(this.#view.getBigUint64(this.#advance(key, 8), true));
  }

  /** The number of things that follow, each of `bytesEach` bytes or more. */
  count(key: string, bytesEach: number): number {
    const count = this.u64(key);
    const left = this.#limit - this.#position;
    if (count * bytesEach <= left) return count;
    const found = bytesEach === 1 ? `${count} bytes` : `${count} times ${bytesEach} bytes or more`;
    throw new CheckpointError(this.file, { key, what: 'truncated', found, wanted: `at most the ${left} bytes left` });
  }

  /** Counts the items of all arrays, each of which takes far more memory than its bytes here. */
  takeItems(key: string, count: number): void {
    this.#items += count;
    if (this.#items <= MOST_ITEMS) return;
    const fault = { key, found: `${this.#items} items in all arrays so far`, wanted: `at most ${MOST_ITEMS}` };
    throw new CheckpointError(this.file, fault);
  }

  text(key: string): string {
    const length = this.count(key, 1);
    const begin = this.#advance(key, length);
    try {
      return this.#text.decode(this.#bytes.subarray(begin, begin + length));
    } catch (cause) {
      const fault = { key, found: 'bytes that are not UTF-8', wanted: 'text' };
      throw new CheckpointError(this.file, fault, { cause });
    }
  }

  /** Moves past `length` bytes and returns where they begin. */
  #advance(key: string, length: number): number {
    const begin = this.#position;
    const end = begin + length;
    if (end > this.#limit) {
      const fault = { key, what: 'truncated', found: `${this.#limit} bytes`, wanted: `at least ${end}` };
      throw new CheckpointError(this.file, fault);
    }
    if (end > this.#bytes.length) throw new NeedMoreBytes(end);
    this.#position = end;
    return begin;
  }
}
