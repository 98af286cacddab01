/**
 * Keys and values side by side, one array per layer: `[capacity, slots, width]`, position first. So
 * a prefix of positions is one contiguous view, which onnxruntime reads without a copy, and one
 * more token is one small write per sequence. The slab only knows places; kv-cache.ts knows whose
 * they are.
 */
export type CacheShape = { layers: number; width: number };

/** One array per layer. */
export type KeysAndValues = { keys: readonly Float32Array[]; values: readonly Float32Array[] };

export class Slab {
  readonly shape: CacheShape;
  readonly slotCount: number;
  /** The number of positions. */
  readonly capacity: number;
  readonly #arrays: KeysAndValues;

  constructor(shape: CacheShape, { slotCount, capacity }: { slotCount: number; capacity: number }) {
    const arrays = () =>
      Array.from({ length: shape.layers }, () => new Float32Array(capacity * slotCount * shape.width));
    this.shape = shape;
    this.slotCount = slotCount;
    this.capacity = capacity;
    this.#arrays = { keys: arrays(), values: arrays() };
  }

  /** Views of the first positions, `[length, slots, width]`. */
  prefix(length: number): KeysAndValues {
    const end = length * this.slotCount * this.shape.width;
    const views = (arrays: readonly Float32Array[]) => arrays.map((array) => array.subarray(0, end));
    return { keys: views(this.#arrays.keys), values: views(this.#arrays.values) };
  }

  /**
   * Copies the first positions of a slot of `source` (this slab or another) into a slot of this
   * one.
   */
  copySlot(source: Slab, { from, to, length }: { from: number; to: number; length: number }): void {
    for (const part of ['keys', 'values'] as const) {
      source.#arrays[part].forEach((array, layer) => {
        const target = this.#arrays[part][layer]!;
        for (let position = 0; position < length; position++) {
          copy(array, source.#offset(position, from), target, this.#offset(position, to), this.shape.width);
        }
      });
    }
  }

  /** Copies all of a slab that has the same number of slots, as one block. */
  copyAll(source: Slab): void {
    for (const part of ['keys', 'values'] as const) {
      source.#arrays[part].forEach((array, layer) => {
        this.#arrays[part][layer]!.set(array);
      });
    }
  }

  /**
   * Writes `count` tokens into a slot, the first one at `position`.
   *
   * @param from where these tokens begin in `fresh`, counted in tokens
   */
  write(
    fresh: KeysAndValues,
    { slot, position, from, count }: { slot: number; position: number; from: number; count: number },
  ): void {
    const { width } = this.shape;
    for (const part of ['keys', 'values'] as const) {
      fresh[part].forEach((array, layer) => {
        const target = this.#arrays[part][layer]!;
        for (let t = 0; t < count; t++) {
          copy(array, (from + t) * width, target, this.#offset(position + t, slot), width);
        }
      });
    }
  }

  #offset(position: number, slot: number): number {
    return (position * this.slotCount + slot) * this.shape.width;
  }
}

/**
 * Copies one by one: for rows this narrow, that is several times faster than `set` on two new
 * views.
 */
function copy(source: Float32Array, from: number, target: Float32Array, to: number, length: number): void {
  for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}
