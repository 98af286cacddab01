/**
 * Keys and values of all sequences: which sequence has which slot in the slab, and what a run reads
 * from it.
 *
 * A sequence takes the lowest free slot when it comes, and leaves a hole for the next one when it
 * goes. No other sequence's keys are copied for that. A run computes holes along with the rest,
 * which costs little while there are few. So
 *
 * - a run over a quarter of the slots or fewer, or one that reads prompts beside other sequences,
 *   gets a small slab with only its own sequences' keys (gathered-slots.ts);
 * - the number of slots grows when there are more sequences than slots, and shrinks when a quarter
 *   of the slots or more have been holes for a while. Only then do all keys move: never while about
 *   as many sequences come as go, and a few times when a crowd comes or goes.
 *
 * The number of positions grows by half at a time, but never by more than 512, which moves the slab
 * as one block; or to the length of a prompt that is about to be read. `moves` counts all moves.
 * Old arrays are let go of layer by layer, so that a move does not hold all keys twice.
 */
import { GatheredSlots } from './gathered-slots.ts';
import { type CacheShape, type KeysAndValues, type Place, Slab } from './slab.ts';

/** The smallest number of positions in a slab. Every larger number is a multiple of it. */
const GROWTH = 64;
/** The largest number of positions to grow by, for sequences that grow token by token. */
const MOST_GROWTH = 512;
/**
 * How many runs may find a quarter of the slots empty before the holes are cut. The copy costs
 * about as much as one run, which is little compared with that many. And while requests are
 * waiting, holes do not last.
 */
const PATIENCE = 16;
/**
 * Where one sequence lies: tokens 0..length-1 at positions 0..length-1 of its slot. The cache
 * updates it; its holder only keeps it.
 */
export type Slot = { index: number; length: number };

/** What a run over some sequences reads: keys and values `[P, B, width]` per layer. */
export type Past = KeysAndValues & {
  /** B. Rows that belong to none of the sequences are holes. */
  rows: number;
  /** The row of each sequence, in the order given. */
  rowOf: readonly number[];
  /** P, the longest length, but at least 1, because the graph does not accept an empty past. */
  length: number;
  /** How many tokens each row holds, `[B]`, also where it is a sequence that is not asked for. */
  ends: readonly number[];
  /** The slab that it is, or null if it was gathered for this run alone. */
  slab: Slab | null;
};

export class KvCache {
  readonly shape: CacheShape;
  /** How often keys in use have moved to a new slab. */
  moves = 0;
  /** Slots by index; null is a hole. */
  #slots: (Slot | null)[] = [];
  #slab: Slab;
  /** How many runs in a row found at least a quarter of the slots empty. */
  #sparseRuns = 0;
  /** Whether a run is reading the slab, so that no array of it may go. */
  #inUse = false;
  /** The last small slab, kept for the next run over the same slots. */
  #gathered: GatheredSlots | null = null;
  /** The small slab that the run under way reads. */
  #read: GatheredSlots | null = null;

  constructor(shape: CacheShape) {
    this.shape = shape;
    this.#slab = this.#emptySlab();
  }

  /** The bytes of a slab for sequences of these lengths: every slot is as long as the longest. */
  bytesFor(lengths: readonly number[]): number {
    const positions = roundUp(Math.max(1, ...lengths)) * roomFor(lengths.length);
    return positions * this.shape.layers * this.shape.width * 2 * Float32Array.BYTES_PER_ELEMENT;
  }

  /** Slots in the slab, holes included. */
  get slotCount(): number {
    return this.#slots.length;
  }

  /**
   * Takes the lowest free slots, all at once, so that the slab grows only once when many sequences
   * come together.
   */
  take(count: number): Slot[] {
    const wanted = this.#held.length + count;
    if (wanted > this.slotCount) this.#resize(roomFor(wanted));
    return Array.from({ length: count }, () => {
      const slot: Slot = { index: this.#slots.indexOf(null), length: 0 };
      this.#slots[slot.index] = slot;
      return slot;
    });
  }

  /** Makes room for a sequence of this length at once, when a long one is about to be appended. */
  reserve(positions: number): void {
    if (positions > this.#slab.capacity && !this.#inUse) this.#grow(positions);
  }

  /** Forgets all but the first tokens of a slot. */
  cut(slot: Slot, length: number): void {
    slot.length = Math.min(slot.length, length);
  }

  /** Leaves a hole. Giving a slot back twice does nothing. */
  release(slot: Slot): void {
    if (this.#slots[slot.index] !== slot) return;
    this.#letGo([slot]);
    this.#slots[slot.index] = null;
    if (this.#held.length > 0) return;
    this.#slots = [];
    this.#slab = this.#emptySlab();
  }

  /** A copy of some tokens' keys and values, for `copyIn`. */
  copyOut({ index: slot }: Slot, place: Omit<Place, 'slot'>): Float32Array {
    return this.#slab.copyOut({ ...place, slot });
  }

  /**
   * Puts a copy back into a slot, which must have room for it (`reserve`). The slot is not longer
   * until `length` says so.
   */
  copyIn({ index: slot }: Slot, block: Float32Array, place: Omit<Place, 'slot'>): void {
    this.#slab.copyIn(block, { ...place, slot });
  }

  /** A new slot with the same keys and values. No other slot is read. */
  fork(slot: Slot): Slot {
    const [copied] = this.take(1) as [Slot];
    this.#slab.copySlot(this.#slab, { from: slot.index, to: copied.index, length: slot.length });
    copied.length = slot.length;
    return copied;
  }

  /**
   * The past of these sequences. It is the slab itself if they hold more than a quarter of the
   * slots, or all of them if more than one token follows: a hole costs as much as a sequence. If
   * not, it is a small slab with only their keys and values. It can be read until `append` or the
   * next `past`.
   *
   * @param next how many tokens of a sequence the run will have
   * @param whole takes the slab with all positions that it has room for, so that P changes less
   *   often
   */
  past(slots: readonly Slot[], { next = 1, whole = false }: { next?: number; whole?: boolean } = {}): Past {
    this.#inUse = true;
    this.#cutHoles();
    const longest = Math.max(1, ...slots.map((slot) => slot.length));
    const enough = next > 1 ? slots.length === this.slotCount : slots.length * 4 > this.slotCount;
    const inPlace = enough && slots.some((slot) => slot.length > 0);
    this.#read = inPlace ? null : this.#gather(slots);
    const slab = this.#read?.slab ?? this.#slab;
    const length = inPlace && whole ? slab.capacity : longest;
    const rows = slab.slotCount;
    const rowOf = slots.map(({ index }, i) => (inPlace ? index : i));
    const ends = inPlace ? this.#slots.map((slot) => slot?.length ?? 0) : slots.map((slot) => slot.length);
    return { ...slab.prefix(length), rows, rowOf, length, ends, slab: inPlace ? slab : null };
  }

  /**
   * Appends the first `count` of a run's new tokens to each slot.
   *
   * @param fresh per layer, `[T, B, width]`; `row` is the slot's place in B
   * @param rows B
   */
  append(
    appended: readonly { slot: Slot; row: number; count: number }[],
    { fresh, rows }: { fresh: KeysAndValues; rows: number },
  ): void {
    this.#inUse = false;
    const { capacity } = this.#slab;
    const longest = Math.max(0, ...appended.map(({ slot, count }) => slot.length + count));
    if (longest > capacity) this.#grow(Math.max(longest, capacity + Math.min(capacity / 2, MOST_GROWTH)));
    if (!this.#read) this.#letGo(appended.map(({ slot }) => slot));
    for (const { slot, row, count } of appended) {
      if (this.#read && this.#read === this.#gathered) this.#read.write(fresh, { row, rows, count });
      this.#slab.write(fresh, { slot: slot.index, position: slot.length, row, rows, count });
      slot.length += count;
    }
  }

  get #held(): Slot[] {
    return this.#slots.filter((slot) => slot !== null);
  }

  #emptySlab(): Slab {
    return new Slab(this.shape, { slotCount: 0, capacity: GROWTH });
  }

  #gather(slots: readonly Slot[]): GatheredSlots {
    if (this.#gathered?.holds(slots)) return this.#gathered;
    const gathered = new GatheredSlots(this.#slab, slots);
    // The next run over all slots reads the slab itself.
    this.#gathered = slots.length < this.slotCount ? gathered : null;
    return gathered;
  }

  /** Gives up the small slab if it has one of these slots. */
  #letGo(slots: readonly Slot[]): void {
    if (this.#gathered?.has(slots)) this.#gathered = null;
  }

  #cutHoles(): void {
    const held = this.#held.length;
    this.#sparseRuns = held * 4 <= this.slotCount * 3 ? this.#sparseRuns + 1 : 0;
    if (this.#sparseRuns > PATIENCE) this.#resize(roomFor(held));
  }

  /** Changes the number of slots, and moves the slots in use to the front. */
  #resize(slotCount: number): void {
    const held = this.#held;
    const longest = Math.max(1, ...held.map(({ length }) => length));
    const resized = new Slab(this.shape, { slotCount, capacity: roundUp(longest) });
    resized.takeSlots(
      this.#slab,
      held.map(({ index: from, length }, to) => ({ from, to, length })),
      { keep: this.#inUse },
    );
    held.forEach((slot, to) => {
      slot.index = to;
    });
    this.#slots = Array.from({ length: slotCount }, (_, index) => held[index] ?? null);
    this.#moveTo(resized);
    this.#sparseRuns = 0;
  }

  #grow(positions: number): void {
    const { slotCount } = this.#slab;
    const capacity = roundUp(positions);
    if (this.#isEmpty) {
      this.#slab = new Slab(this.shape, { slotCount, capacity });
    } else {
      this.#slab.grow(capacity);
      this.moves++;
    }
  }

  get #isEmpty(): boolean {
    return this.#held.every(({ length }) => length === 0);
  }

  #moveTo(slab: Slab): void {
    if (!this.#isEmpty) this.moves++;
    this.#slab = slab;
  }
}

/**
 * The number of slots for this many sequences: the same number up to eight, then in steps of an
 * eighth to a quarter: 10, 12, 14, 16, 20, 24, 28, 32, ...
 */
function roomFor(sequences: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, sequences - 1))) - 2);
  return Math.ceil(sequences / step) * step;
}

const roundUp = (positions: number) => Math.ceil(positions / GROWTH) * GROWTH;
