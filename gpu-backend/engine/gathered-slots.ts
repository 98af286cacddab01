/**
 * A small slab with the keys and values of a few slots: what a run over those slots reads instead
 * of the whole slab. It is kept for the next run over the same slots, as prompts are read chunk by
 * chunk, and gets the new tokens too. So each key is copied once, however many chunks there are.
 *
 * It is a copy, and takes memory for one. So it goes as soon as anything else happens to its slots,
 * and when it would take more memory than is left for it.
 */
import type { Slot } from './kv-cache.ts';
import { type CacheShape, type KeysAndValues, Slab } from './slab.ts';

/** The most positions to grow by. */
const MOST_SPARE = 256;

export class GatheredSlots {
  readonly slab: Slab;
  readonly #slots: readonly Slot[];
  /** The tokens of each slot that are here. */
  readonly #lengths: number[];

  /** @param reserved the number of positions that it can grow to in place; Infinity for none */
  constructor(source: Slab, slots: readonly Slot[], { reserved = Infinity }: { reserved?: number } = {}) {
    this.#slots = slots;
    this.#lengths = slots.map(({ length }) => length);
    this.slab = new Slab(source.shape, sizeOf(slots), { reserved });
    slots.forEach(({ index: from, length }, to) => {
      this.slab.copySlot(source, { from, to, length });
    });
  }

  /** The bytes of a copy of these slots, before it gets any new tokens. */
  static bytesFor(shape: CacheShape, slots: readonly Slot[]): number {
    return Slab.bytesFor(shape, sizeOf(slots));
  }

  /** Whether these are its slots, in its order and with all their tokens. */
  holds(slots: readonly Slot[]): boolean {
    const isHere = (slot: Slot, i: number) => slot === this.#slots[i] && slot.length === this.#lengths[i];
    return slots.length === this.#slots.length && slots.every(isHere);
  }

  /** Whether one of these slots is here. */
  has(slots: readonly Slot[]): boolean {
    return slots.some((slot) => this.#slots.includes(slot));
  }

  /**
   * Makes room for as many more tokens of each slot, and some to spare. Returns false, and stays as
   * it is, if that takes more than `mostBytes`.
   */
  grow(count: number, mostBytes: number): boolean {
    const needed = Math.max(...this.#lengths) + count;
    if (needed <= this.slab.capacity) return true;
    const capacity = needed + Math.min(MOST_SPARE, Math.ceil(needed / 2));
    if (Slab.bytesFor(this.slab.shape, { slotCount: this.slab.slotCount, capacity }) > mostBytes) return false;
    this.slab.grow(capacity);
    return true;
  }

  /**
   * Appends the first `count` of a run's new tokens to a slot, which must have room for them
   * (`grow`).
   *
   * @param fresh per layer, `[T, B, width]`; `row` is the slot's place in B, and here
   * @param rows B
   */
  write(fresh: KeysAndValues, { row, rows, count }: { row: number; rows: number; count: number }): void {
    const position = this.#lengths[row]!;
    this.slab.write(fresh, { slot: row, position, row, rows, count });
    this.#lengths[row] = position + count;
  }
}

const sizeOf = (slots: readonly Slot[]) => ({
  slotCount: slots.length,
  capacity: Math.max(1, ...slots.map(({ length }) => length)),
});
