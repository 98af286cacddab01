/**
 * A small slab with the keys and values of a few slots: what a run over those slots reads instead
 * of the whole slab. It is kept for the next run over the same slots, as prompts are read chunk by
 * chunk, and gets the new tokens too. So each key is copied once, however many chunks there are.
 *
 * It is a copy, and takes memory for one. So it goes as soon as anything else happens to its slots.
 */
import type { Slot } from './kv-cache.ts';
import { type KeysAndValues, Slab } from './slab.ts';

/** The most positions to grow by. */
const MOST_SPARE = 256;

export class GatheredSlots {
  readonly slab: Slab;
  readonly #slots: readonly Slot[];
  /** The tokens of each slot that are here. */
  readonly #lengths: number[];

  constructor(source: Slab, slots: readonly Slot[]) {
    this.#slots = slots;
    this.#lengths = slots.map(({ length }) => length);
    this.slab = new Slab(source.shape, { slotCount: slots.length, capacity: Math.max(1, ...this.#lengths) });
    slots.forEach(({ index: from, length }, to) => {
      this.slab.copySlot(source, { from, to, length });
    });
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
   * Appends the first `count` of a run's new tokens to a slot.
   *
   * @param fresh per layer, `[T, B, width]`; `row` is the slot's place in B, and here
   * @param rows B
   */
  write(fresh: KeysAndValues, { row, rows, count }: { row: number; rows: number; count: number }): void {
    const position = this.#lengths[row]!;
    const needed = position + count;
    if (needed > this.slab.capacity) this.slab.grow(needed + Math.min(MOST_SPARE, Math.ceil(needed / 2)));
    this.slab.write(fresh, { slot: row, position, row, rows, count });
    this.#lengths[row] = needed;
  }
}
