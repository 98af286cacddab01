/**
 * Keys and values of all sequences, one slab per layer: `[capacity, slots, width]`, position first. A prefix of positions is then one
 * contiguous view, which onnxruntime reads without a copy, and one more token is one small write per sequence.
 *
 * A sequence has a slot: the lowest that is free when it comes. One that leaves leaves a hole, which the next one fills. Nobody else's
 * keys are copied for that. A run computes holes along with the rest, which costs little while they are few; so
 *
 * - a run over a quarter of the slots or fewer (a prompt's first run above all) gets a small slab of its own sequences' keys;
 * - the number of slots grows when more sequences are held than there are slots, and shrinks when a quarter of them or more have been
 *   holes for a while. Only then do all keys move: never while about as many come as go, a few times when a crowd comes or goes.
 *
 * Positions grow by half, which moves the slab as one block. `moves` counts all of these.
 */

/** The fewest positions of a slab, and what their number is a multiple of. */
const GROWTH = 64;
/**
 * Runs with a quarter of the slots empty before they are cut. A copy costs about one run, so it is a small part of these; and as long as
 * others wait to come, holes do not last.
 */
const PATIENCE = 16;
/** Added to an attention score to hide a position: its softmax is exactly 0 in f32. */
export const MASKED = -1e9;

export type CacheShape = { layers: number; width: number };

/** Where one sequence lies: tokens 0..length-1 at positions 0..length-1 of its slot. The cache changes it, its holder only keeps it. */
export type Slot = { index: number; length: number };

/** What a run over some sequences reads. */
export type Past = {
  /** B; rows that belong to none of the sequences are holes. */
  rows: number;
  /** The row of each sequence, in the order asked for. */
  rowOf: readonly number[];
  /** P: the longest, and at least 1, because the graph does not take an empty past. */
  length: number;
  /** Per layer, `[P, B, width]`. */
  keys: readonly Float32Array[];
  values: readonly Float32Array[];
  /** Additive, `[B, 1, 1, P]`. */
  mask: Float32Array;
};

type Slabs = { keys: Float32Array[]; values: Float32Array[] };

export class KvCache {
  readonly shape: CacheShape;
  /** How often keys that were held moved to a new slab. */
  moves = 0;
  /** By index; a hole is null. */
  #slots: (Slot | null)[] = [];
  #capacity = GROWTH;
  /** Runs in a row that found a quarter of the slots empty, or more. */
  #sparseRuns = 0;
  #slabs: Slabs;

  constructor(shape: CacheShape) {
    this.shape = shape;
    this.#slabs = this.#allocate(0, GROWTH);
  }

  /** Slots in the slab, holes included. */
  get slotCount(): number {
    return this.#slots.length;
  }

  /** The lowest free slots, all at once, so that a crowd that comes together makes the slab grow once. */
  take(count: number): Slot[] {
    const wanted = this.#held.length + count;
    if (wanted > this.slotCount) this.#resize(roomFor(wanted));
    return Array.from({ length: count }, () => {
      const slot: Slot = { index: this.#slots.indexOf(null), length: 0 };
      this.#slots[slot.index] = slot;
      return slot;
    });
  }

  /** Leaves a hole. Giving a slot back twice does nothing. */
  release(slot: Slot): void {
    if (this.#slots[slot.index] !== slot) return;
    this.#slots[slot.index] = null;
    if (this.#held.length > 0) return;
    this.#slots = [];
    this.#capacity = GROWTH;
    this.#slabs = this.#allocate(0, GROWTH);
  }

  /** A new slot with the same keys and values. */
  fork(slot: Slot): Slot {
    const [copied] = this.take(1) as [Slot];
    const { width } = this.shape;
    copied.length = slot.length;
    for (const slab of [...this.#slabs.keys, ...this.#slabs.values]) {
      for (let position = 0; position < slot.length; position++) {
        copy(slab, this.#offset(position, slot), slab, this.#offset(position, copied), width);
      }
    }
    return copied;
  }

  /** The past of these sequences: the slab as it lies where they fill more than a quarter of it, else a small one of theirs alone. */
  past(slots: readonly Slot[]): Past {
    this.#cutHoles();
    const length = Math.max(1, ...slots.map((slot) => slot.length));
    const inPlace = slots.length * 4 > this.slotCount && slots.some((slot) => slot.length > 0);
    const rows = inPlace ? this.slotCount : slots.length;
    const rowOf = slots.map(({ index }, row) => (inPlace ? index : row));
    const end = length * rows * this.shape.width;
    const part = (slab: Float32Array) => (inPlace ? slab.subarray(0, end) : this.#gather(slab, slots, length));
    const mask = new Float32Array(rows * length).fill(MASKED);
    slots.forEach((slot, i) => {
      mask.fill(0, rowOf[i]! * length, rowOf[i]! * length + slot.length);
    });
    return { rows, rowOf, length, keys: this.#slabs.keys.map(part), values: this.#slabs.values.map(part), mask };
  }

  /**
   * Appends to each slot the first `count` of a run's T new tokens.
   *
   * @param keys per layer, [B, T, width]; `row` is the slot's place in B
   */
  append(
    appended: readonly { slot: Slot; row: number; count: number }[],
    { keys, values, steps }: { keys: readonly Float32Array[]; values: readonly Float32Array[]; steps: number },
  ): void {
    const { layers, width } = this.shape;
    this.#reserve(Math.max(0, ...appended.map(({ slot, count }) => slot.length + count)));
    for (let layer = 0; layer < layers; layer++) {
      for (const { slot, row, count } of appended) {
        for (let t = 0; t < count; t++) {
          const from = (row * steps + t) * width;
          const to = this.#offset(slot.length + t, slot);
          copy(keys[layer]!, from, this.#slabs.keys[layer]!, to, width);
          copy(values[layer]!, from, this.#slabs.values[layer]!, to, width);
        }
      }
    }
    for (const { slot, count } of appended) slot.length += count;
  }

  get #held(): Slot[] {
    return this.#slots.filter((slot) => slot !== null);
  }

  #offset(position: number, { index }: Slot): number {
    return (position * this.slotCount + index) * this.shape.width;
  }

  /** `[length, slots, width]` of these slots alone. */
  #gather(slab: Float32Array, slots: readonly Slot[], length: number): Float32Array {
    const { width } = this.shape;
    const gathered = new Float32Array(length * slots.length * width);
    slots.forEach((slot, row) => {
      for (let position = 0; position < slot.length; position++) {
        copy(slab, this.#offset(position, slot), gathered, (position * slots.length + row) * width, width);
      }
    });
    return gathered;
  }

  #cutHoles(): void {
    const held = this.#held.length;
    this.#sparseRuns = held * 4 <= this.slotCount * 3 ? this.#sparseRuns + 1 : 0;
    if (this.#sparseRuns > PATIENCE) this.#resize(roomFor(held));
  }

  /** Another number of slots, and the held ones in the first of them. */
  #resize(slotCount: number): void {
    const held = this.#held;
    if (held.some(({ length }) => length > 0)) this.moves++;
    const { width } = this.shape;
    const capacity = roundUp(Math.max(1, ...held.map(({ length }) => length)));
    const resized = this.#allocate(slotCount, capacity);
    for (const part of ['keys', 'values'] as const) {
      this.#slabs[part].forEach((slab, layer) => {
        held.forEach((slot, index) => {
          for (let position = 0; position < slot.length; position++) {
            const to = (position * slotCount + index) * width;
            copy(slab, this.#offset(position, slot), resized[part][layer]!, to, width);
          }
        });
      });
    }
    held.forEach((slot, index) => {
      slot.index = index;
    });
    this.#slots = Array.from({ length: slotCount }, (_, index) => held[index] ?? null);
    this.#slabs = resized;
    this.#capacity = capacity;
    this.#sparseRuns = 0;
  }

  #reserve(positions: number): void {
    if (positions <= this.#capacity) return;
    if (this.#held.some(({ length }) => length > 0)) this.moves++;
    this.#capacity = roundUp(Math.max(positions, 1.5 * this.#capacity));
    const old = this.#slabs;
    this.#slabs = this.#allocate(this.slotCount, this.#capacity);
    for (const part of ['keys', 'values'] as const) {
      old[part].forEach((slab, layer) => {
        this.#slabs[part][layer]!.set(slab);
      });
    }
  }

  #allocate(slotCount: number, capacity: number): Slabs {
    const { layers, width } = this.shape;
    const slab = () => new Float32Array(capacity * slotCount * width);
    return { keys: Array.from({ length: layers }, slab), values: Array.from({ length: layers }, slab) };
  }
}

/** Slots for so many sequences: as many up to eight, then in steps of an eighth to a quarter: 10, 12, 14, 16, 20, 24, 28, 32, ... */
function roomFor(sequences: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, sequences - 1))) - 2);
  return Math.ceil(sequences / step) * step;
}

const roundUp = (positions: number) => Math.ceil(positions / GROWTH) * GROWTH;

/** Element by element: at the width of one position it is several times faster than `set` on two new views. */
function copy(source: Float32Array, from: number, target: Float32Array, to: number, length: number): void {
  for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}
