/**
 * Finds numbers that are infinite or NaN in the bytes of tensors, as files have them:
 * little-endian, and begun anywhere. In such a number, and in no other, all bits of the exponent
 * are set. So it is enough to look at its last byte, and rarely at the one before.
 */
import { CheckpointError } from './checkpoint-error.ts';
import type { StoredTensor } from './stored-base.ts';

/** The bytes of a number, and the bits of its exponent in the last byte and in the byte before. */
const FORMATS = {
  F32: { size: 4, last: 0x7f, before: 0x80 },
  BF16: { size: 2, last: 0x7f, before: 0x80 },
  F16: { size: 2, last: 0x7c, before: 0 },
} as const;

export type FloatType = keyof typeof FORMATS;

/** Whether weights of this type are plain floats. */
export const isFloatType = (dtype: string): dtype is FloatType => Object.hasOwn(FORMATS, dtype);

type Place = { file: string; key: string };

/** Throws a CheckpointError if one of the numbers is infinite or NaN. */
export function assertFinite(
  { buffer, byteOffset, byteLength }: ArrayBufferView,
  dtype: FloatType,
  place: Place,
): void {
  const { size } = FORMATS[dtype];
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  const at = findNotFinite(bytes, dtype, { from: size - 1, end: byteLength, byteBefore: 0 });
  if (at !== -1) throw notFinite((at - size + 1) / size, place);
}

/**
 * The last byte of the first number that is not finite; -1 if there is none.
 *
 * @param options.from the last byte of the first number to look at
 * @param options.end where the numbers end
 * @param options.byteBefore what came before the first of `bytes`, if a number began there
 */
function findNotFinite(
  bytes: Uint8Array,
  dtype: FloatType,
  { from, end, byteBefore }: { from: number; end: number; byteBefore: number },
): number {
  const { size, last, before } = FORMATS[dtype];
  for (let at = from; at < end; at += size) {
    if ((bytes[at]! & last) !== last) continue;
    const previous = at > 0 ? bytes[at - 1]! : byteBefore;
    if ((previous & before) === before) return at;
  }
  return -1;
}

function notFinite(element: number, { file, key }: Place): CheckpointError {
  return new CheckpointError(file, {
    key,
    found: `NaN or an infinity at element ${element}`,
    wanted: 'finite numbers',
  });
}

/**
 * The same for a whole safetensors file, from its bytes as they pass by on their way into its
 * digest, so that the file is read once.
 */
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
   * Takes the next bytes of the file. Throws a CheckpointError that names the tensor and the
   * element.
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
    if (!isFloatType(dtype)) return;
    const size = FORMATS[dtype].size;
    const begin = this.#position;
    const end = Math.min(begin + bytes.length, offset + length) - begin;
    // The last byte of the first element that ends within these bytes.
    const skipped = Math.max(0, Math.floor((begin - offset) / size));
    const from = offset + skipped * size + size - 1 - begin;
    const at = findNotFinite(bytes, dtype, { from, end, byteBefore: this.#lastByte });
    if (at === -1) return;
    throw notFinite((begin + at - size + 1 - offset) / size, { file: this.#file, key: `tensor ${name}` });
  }
}
