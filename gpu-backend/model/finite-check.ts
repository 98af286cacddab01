/**
 * Checks that all numbers of a safetensors file are finite, from the bytes of the file as they pass
 * by on their way into its digest, so that the file is read once.
 */
import { BundleError } from './bundle-error.ts';
import type { StoredTensor } from './stored-base.ts';

/**
 * In a number that is infinite or NaN, all bits of the exponent are set: these bits of its last
 * byte (files are little-endian), and these of the byte before.
 */
const EXPONENTS: Readonly<Record<string, { size: number; last: number; before: number }>> = {
  F32: { size: 4, last: 0x7f, before: 0x80 },
  BF16: { size: 2, last: 0x7f, before: 0x80 },
  F16: { size: 2, last: 0x7c, before: 0 },
};

export class FiniteCheck {
  readonly #file: string;
  readonly #tensors: readonly [name: string, tensor: StoredTensor][];
  /** Bytes seen, the last one of them, and the first tensor that may have bytes to come. */
  #position = 0;
  #lastByte = 0;
  #current = 0;

  constructor(tensors: ReadonlyMap<string, StoredTensor>, file: string) {
    this.#file = file;
    this.#tensors = [...tensors].sort(([, a], [, b]) => a.offset - b.offset);
  }

  /**
   * Takes the next bytes of the file. Throws a BundleError that names the tensor and the element.
   */
  take(bytes: Uint8Array): void {
    const begin = this.#position;
    const end = begin + bytes.length;
    for (let i = this.#current; i < this.#tensors.length; i++) {
      const [name, tensor] = this.#tensors[i]!;
      if (tensor.offset >= end) break;
      this.#scan(bytes, name, tensor);
      if (tensor.offset + tensor.bytes <= end) this.#current = i + 1;
    }
    this.#position = end;
    this.#lastByte = bytes.at(-1) ?? this.#lastByte;
  }

  #scan(bytes: Uint8Array, name: string, { dtype, offset, bytes: length }: StoredTensor): void {
    const exponent = EXPONENTS[dtype];
    if (exponent === undefined) return;
    const { size, last, before } = exponent;
    const begin = this.#position;
    const end = Math.min(begin + bytes.length, offset + length) - begin;
    // The last byte of the first element that ends within these bytes.
    const skipped = Math.max(0, Math.floor((begin - offset) / size));
    for (let at = offset + skipped * size + size - 1 - begin; at < end; at += size) {
      if ((bytes[at]! & last) !== last) continue;
      const previous = at > 0 ? bytes[at - 1]! : this.#lastByte;
      if ((previous & before) !== before) continue;
      const element = (begin + at - size + 1 - offset) / size;
      const found = `found NaN or an infinity at element ${element}`;
      throw new BundleError(this.#file, `tensor ${name}: ${found}, wanted finite numbers`);
    }
  }
}
