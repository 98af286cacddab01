/**
 * Keys and values of a batch, one slab per layer: `[capacity, rows, width]`, position first. A prefix of positions is then
 * one contiguous view, which onnxruntime reads without a copy, and one more token is one small write per row.
 *
 * Row b holds its tokens at positions 0..length(b)-1; shorter rows leave a gap above, which the mask hides. When rows join
 * or leave, the slabs are packed anew: a copy of what is kept, far rarer than a step.
 */

/** Positions a slab grows by, so that it is not copied at each token. */
const GROWTH = 64;
/** Added to an attention score to hide a position: its softmax is exactly 0 in f32. */
export const MASKED = -1e9;

export type CacheShape = { layers: number; width: number };
export type CacheRow = { cache: KvCache; row: number };
type Slabs = { keys: Float32Array[]; values: Float32Array[] };

export class KvCache {
  readonly shape: CacheShape;
  /** Tokens held by each row. */
  readonly lengths: number[];
  #capacity = GROWTH;
  #slabs: Slabs;

  constructor(shape: CacheShape, rowCount: number) {
    this.shape = shape;
    this.lengths = new Array<number>(rowCount).fill(0);
    this.#slabs = this.#allocate();
  }

  /** A cache made of rows of others, in the order given. */
  static pack(shape: CacheShape, rows: readonly CacheRow[]): KvCache {
    const packed = new KvCache(shape, rows.length);
    packed.#reserve(Math.max(0, ...rows.map(({ cache, row }) => cache.lengths[row]!)));
    rows.forEach(({ cache, row }, to) => {
      const length = cache.lengths[row]!;
      packed.lengths[to] = length;
      for (let layer = 0; layer < shape.layers; layer++) {
        for (const part of ['keys', 'values'] as const) {
          const [source, target] = [cache.#slabs[part][layer]!, packed.#slabs[part][layer]!];
          for (let position = 0; position < length; position++) {
            copy(source, cache.#offset(position, row), target, packed.#offset(position, to), shape.width);
          }
        }
      }
    });
    return packed;
  }

  get rowCount(): number {
    return this.lengths.length;
  }

  /** P of the next run: the longest row, and at least 1, because the graph does not take an empty past. */
  get pastLength(): number {
    return Math.max(1, ...this.lengths);
  }

  /** The past of one layer, views of `[P, rows, width]`. */
  past(layer: number): { keys: Float32Array; values: Float32Array } {
    const end = this.pastLength * this.rowCount * this.shape.width;
    return { keys: this.#slabs.keys[layer]!.subarray(0, end), values: this.#slabs.values[layer]!.subarray(0, end) };
  }

  /** Additive, `[rows, 1, 1, P]`. */
  pastMask(): Float32Array {
    const past = this.pastLength;
    const mask = new Float32Array(this.rowCount * past).fill(MASKED);
    this.lengths.forEach((length, row) => {
      mask.fill(0, row * past, row * past + length);
    });
    return mask;
  }

  /**
   * Appends a run's keys and values, per layer `[rows, T, width]`, of which row b's first `counts[b]` tokens are real and the
   * rest padding.
   */
  append(newKeys: readonly Float32Array[], newValues: readonly Float32Array[], counts: readonly number[]): void {
    const { layers, width } = this.shape;
    const steps = newKeys[0]!.length / (this.rowCount * width);
    this.#reserve(Math.max(...this.lengths.map((length, row) => length + counts[row]!)));
    for (let layer = 0; layer < layers; layer++) {
      counts.forEach((count, row) => {
        for (let t = 0; t < count; t++) {
          const from = (row * steps + t) * width;
          const to = this.#offset(this.lengths[row]! + t, row);
          copy(newKeys[layer]!, from, this.#slabs.keys[layer]!, to, width);
          copy(newValues[layer]!, from, this.#slabs.values[layer]!, to, width);
        }
      });
    }
    counts.forEach((count, row) => {
      this.lengths[row]! += count;
    });
  }

  #offset(position: number, row: number): number {
    return (position * this.rowCount + row) * this.shape.width;
  }

  #allocate(): Slabs {
    const { layers, width } = this.shape;
    const slab = () => new Float32Array(this.#capacity * this.rowCount * width);
    return { keys: Array.from({ length: layers }, slab), values: Array.from({ length: layers }, slab) };
  }

  #reserve(positions: number): void {
    if (positions <= this.#capacity) return;
    this.#capacity = Math.ceil(positions / GROWTH) * GROWTH;
    const old = this.#slabs;
    this.#slabs = this.#allocate();
    for (const part of ['keys', 'values'] as const) {
      old[part].forEach((slab, layer) => {
        this.#slabs[part][layer]!.set(slab);
      });
    }
  }
}

/** Element by element: at the width of one position it is several times faster than `set` on two new views. */
function copy(source: Float32Array, from: number, target: Float32Array, to: number, length: number): void {
  for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}
