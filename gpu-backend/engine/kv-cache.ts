/**
 * Keys and values of all sequences: which sequence has which slot in the slab, and what a run reads
 * from it.
 *
 * A sequence takes the lowest free slot when it comes, and leaves a hole for the next one when it
 * goes. No other sequence's keys are copied for that. A run computes holes along with the rest,
 * which costs little while there are few. So
 *
 * - a run over a quarter of the slots or fewer, or one with several tokens a sequence (a prompt, a
 *   draft) where there are other sequences or holes, gets a small slab with only its own sequences'
 *   keys (gathered-slots.ts); so does one over half of the slots or fewer, once a few runs have
 *   been over the very same ones. Two of them are kept, for the chunks of a prompt and for the
 *   answers that take turns with it;
 * - the number of slots grows when there are more sequences than slots, and shrinks when a quarter
 *   of the slots or more have been holes for a while. Only then do all keys move: never while about
 *   as many sequences come as go, and a few times when a crowd comes or goes.
 *
 * The number of positions grows by half at a time, but never by more than 512; or to the length of
 * a prompt that is about to be read. If the most that there can be is known, the slab has addresses
 * for all of them and grows in place. If not, it moves as one block. `moves` counts all moves.
 *
 * What nobody reads any more goes little by little, unless its memory is needed at once
 * (leaving-slabs.ts).
 *
 * Memory may be bounded. What comes to hold `bytesFor(lengths)` at most must fit. The rest is for
 * speed, and is done without where it does not fit: holes are cut before the slab grows, it grows
 * by no more than it must, and a run reads the whole slab instead of a small one.
 */
import { GatheredSlots } from './gathered-slots.ts';
import { LeavingSlabs } from './leaving-slabs.ts';
import { type CacheShape, type KeysAndValues, type Place, type Size, Slab, slabBytes } from './slab.ts';
import { SmallSlabs } from './small-slabs.ts';

/** The smallest number of positions in a slab. Every larger number is a multiple of it. */
const GROWTH = 64;
/** The largest number of positions to grow by, for sequences that grow token by token. */
const MOST_GROWTH = 512;
/** The part of the memory that positions to spare may take the slab to. The rest is for copies. */
const SPARE_SHARE = 0.75;
/** A run with no more tokens of a sequence than this is a draft's, or costs as little as one. */
const FEW_TOKENS = 16;
/**
 * How many runs may find a quarter of the slots empty before the holes are cut. The copy costs
 * about as much as one run, which is little compared with that many. And while requests are
 * waiting, holes do not last.
 */
const PATIENCE = 16;
/** How many bytes of a slab that nobody reads any more are given back at a time. */
const GIVEN_BACK = 2 ** 22;

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
  /** The slab that it is, or null if it was gathered for runs over these sequences alone. */
  slab: Slab | null;
};

export class KvCache {
  readonly shape: CacheShape;
  readonly #mostBytes: number;
  readonly #mostPositions: number;
  /** How often keys in use have moved to a new slab. */
  moves = 0;
  /** Slots by index; null is a hole. */
  #slots: (Slot | null)[] = [];
  #slab: Slab;
  /** How many runs in a row found at least a quarter of the slots empty. */
  #sparseRuns = 0;
  /** Whether a run is reading the slab, so that no array of it may go. */
  #inUse = false;
  readonly #small: SmallSlabs;
  /** The small slab that the run under way reads. */
  #read: GatheredSlots | null = null;
  readonly #leaving = new LeavingSlabs();

  /**
   * @param mostBytes what sequences together never need more than, as `bytesFor` says
   * @param mostPositions the most tokens of a sequence
   */
  constructor(
    shape: CacheShape,
    { mostBytes = Infinity, mostPositions = Infinity }: { mostBytes?: number; mostPositions?: number } = {},
  ) {
    this.shape = shape;
    this.#mostBytes = mostBytes;
    this.#mostPositions = roundUp(mostPositions);
    this.#slab = this.#emptySlab();
    this.#small = new SmallSlabs(shape, (slabs) => this.#leave(slabs));
  }

  /** The bytes of a slab for sequences of these lengths: every slot is as long as the longest. */
  bytesFor(lengths: readonly number[]): number {
    const capacity = roundUp(Math.max(1, ...lengths));
    return Slab.bytesFor(this.shape, { slotCount: roomFor(lengths.length), capacity });
  }

  /** The bytes of all that there is, copies included. */
  get bytes(): number {
    // The small slab that is read may be kept, or be leaving.
    const read = this.#read !== null && !this.#small.has(this.#read) ? [this.#read.slab] : [];
    const apart = read.filter((slab) => !this.#leaving.has(slab));
    return this.#slab.bytes + this.#leaving.bytes + this.#small.bytes + slabBytes(apart);
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

  /**
   * Makes room for a sequence of this length at once, when a long one is about to be appended.
   * Throws if a run is under way.
   */
  reserve(positions: number): void {
    if (positions <= this.#slab.capacity) return;
    if (this.#inUse) throw new Error('found a run that reads the slab, wanted none while it grows');
    this.#grow(positions);
  }

  /** Forgets all but the first tokens of a slot. */
  cut(slot: Slot, length: number): void {
    slot.length = Math.min(slot.length, length);
  }

  /** Leaves a hole. Giving a slot back twice does nothing. */
  release(slot: Slot): void {
    if (this.#slots[slot.index] !== slot) return;
    this.#small.letGo([slot]);
    this.#slots[slot.index] = null;
    if (this.#held.length > 0) return;
    this.#slots = [];
    this.#small.drop(() => true);
    this.#replaceSlab(this.#emptySlab());
    // Nobody waits, so all of it is given back at once. But a run may still read the old ones.
    if (!this.#inUse) this.#leaving.giveBack(Infinity);
    this.#inUse = false;
  }

  /** A copy of some of its tokens' keys and values, for `copyIn`. Throws if it is not as long. */
  copyOut({ index: slot, length }: Slot, place: Omit<Place, 'slot'>): Float32Array {
    const end = place.position + place.count;
    // Beyond its end there may be keys of a sequence that has left.
    if (end > length) throw new RangeError(`found ${length} tokens in slot ${slot}, wanted ${end}`);
    return this.#slab.copyOut({ ...place, slot });
  }

  /**
   * Puts a copy back into a slot. Throws if there is no room for it (`reserve`). The slot is not
   * longer until `length` says so.
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
   * The past of these sequences. It is the slab itself if they hold enough of the slots, or all of
   * them if more than one token follows: a hole costs as much as a sequence. If not, it is a small
   * slab with only their keys and values, as far as memory allows. It can be read until `append`,
   * `endRun` or the next `past`.
   *
   * @param next how many tokens of a sequence the run will have
   * @param whole takes the slab with all positions that it has room for, so that P changes less
   *   often; and takes the slab itself for a draft even where there are some holes
   */
  past(slots: readonly Slot[], { next = 1, whole = false }: { next?: number; whole?: boolean } = {}): Past {
    this.endRun();
    this.#cutHoles();
    const longest = Math.max(1, ...slots.map((slot) => slot.length));
    const enough = this.#holdEnough(slots, { next, whole });
    const someKnown = slots.some((slot) => slot.length > 0);
    this.#read = enough && someKnown ? null : this.#gather(slots);
    this.#inUse = true;
    const inPlace = this.#read === null;
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
    const read = this.#read;
    this.endRun();
    // It was for this run alone.
    if (read !== null && !this.#small.has(read)) this.#leave([read.slab]);
    const { capacity } = this.#slab;
    const longest = Math.max(0, ...appended.map(({ slot, count }) => slot.length + count));
    if (longest > capacity) this.#grow(longest, Math.min(capacity / 2, MOST_GROWTH));
    if (read === null) this.#small.letGo(appended.map(({ slot }) => slot));
    const most = Math.max(0, ...appended.map(({ count }) => count));
    const small = read !== null && this.#keepsRoom(read, most) ? read : null;
    if (small === null) this.#small.drop((one) => one === read);
    for (const { slot, row, count } of appended) {
      small?.write(fresh, { row, rows, count });
      this.#slab.write(fresh, { slot: slot.index, position: slot.length, row, rows, count });
      slot.length += count;
    }
  }

  /** Notes that no run reads the past any more, also where one failed and nothing is appended. */
  endRun(): void {
    this.#inUse = false;
    this.#read = null;
    this.#leaving.giveBack(GIVEN_BACK);
  }

  /** Whether a run over these slots reads the slab itself. */
  #holdEnough(slots: readonly Slot[], { next, whole }: { next: number; whole: boolean }): boolean {
    if (next > 1 && !(whole && next <= FEW_TOKENS)) return slots.length === this.slotCount;
    return !this.#small.isWorthIt(slots, { slotCount: this.slotCount, whole });
  }

  /** Makes room for more tokens in a small slab. False if it is not kept, or memory is short. */
  #keepsRoom(small: GatheredSlots, tokens: number): boolean {
    if (!this.#small.has(small)) return false;
    return small.grow(tokens, this.#left - this.#small.bytes + small.slab.bytes);
  }

  /** What copies may take. */
  get #left(): number {
    return this.#mostBytes - this.#slab.bytes - this.#leaving.bytes;
  }

  get #held(): Slot[] {
    return this.#slots.filter((slot) => slot !== null);
  }

  #emptySlab(): Slab {
    return new Slab(this.shape, { slotCount: 0, capacity: GROWTH });
  }

  /** null if there is no memory for a copy. */
  #gather(slots: readonly Slot[]): GatheredSlots | null {
    const known = this.#small.use(slots);
    if (known !== null) return known;
    this.#small.makeRoom(slots);
    const bytes = GatheredSlots.bytesFor(this.shape, slots);
    this.#letGoBeside(this.#slab.bytes + bytes);
    if (bytes > this.#left) return null;
    const gathered = new GatheredSlots(this.#slab, slots, { reserved: this.#mostPositions });
    // The next run over all slots reads the slab itself.
    if (slots.length < this.slotCount) this.#small.keep(gathered);
    return gathered;
  }

  /** Nobody but the run under way reads these any more. */
  #leave(slabs: readonly Slab[]): void {
    this.#leaving.add(slabs);
    if (!this.#inUse && this.bytes > this.#mostBytes) this.#leaving.giveBack(Infinity);
  }

  #cutHoles(): void {
    const held = this.#held.length;
    this.#sparseRuns = held * 4 <= this.slotCount * 3 ? this.#sparseRuns + 1 : 0;
    if (this.#sparseRuns > PATIENCE) this.#resize(roomFor(held));
  }

  /**
   * Changes the number of slots, and moves the slots in use to the front.
   *
   * @param positions at least so many
   */
  #resize(slotCount: number, positions = 1): void {
    const held = this.#held;
    const longest = Math.max(positions, ...held.map(({ length }) => length));
    const resized = this.#newSlab({ slotCount, capacity: roundUp(longest) });
    // Without memory for both, it moves layer by layer and gives all of the old one back at once.
    const keep = this.#inUse || this.bytes + resized.bytes <= this.#mostBytes;
    resized.takeSlots(
      this.#slab,
      held.map(({ index: from, length }, to) => ({ from, to, length })),
      { keep },
    );
    held.forEach((slot, to) => {
      slot.index = to;
    });
    this.#slots = Array.from({ length: slotCount }, (_, index) => held[index] ?? null);
    if (!this.#isEmpty) this.moves++;
    this.#replaceSlab(resized);
    this.#sparseRuns = 0;
  }

  /** Makes room for so many positions, and some to spare where there is memory for them. */
  #grow(positions: number, spare = 0): void {
    const { slotCount } = this.#slab;
    const bytesAt = (capacity: number) => Slab.bytesFor(this.shape, { slotCount, capacity });
    const least = roundUp(positions);
    const ample = roundUp(Math.max(positions, this.#slab.capacity + spare));
    const capacity = bytesAt(ample) <= SPARE_SHARE * this.#mostBytes ? ample : least;
    if (bytesAt(capacity) > this.#mostBytes && roomFor(this.#held.length) < slotCount) {
      this.#resize(roomFor(this.#held.length), positions);
    } else if (this.#isEmpty) {
      this.#replaceSlab(this.#newSlab({ slotCount, capacity }));
    } else {
      this.#letGoBeside(bytesAt(capacity));
      if (this.#slab.grow(capacity)) this.moves++;
    }
  }

  #newSlab(size: Size): Slab {
    this.#letGoBeside(Slab.bytesFor(this.shape, size));
    return new Slab(this.shape, size, { reserved: this.#mostPositions });
  }

  /** Gives up what there is no memory for beside a slab of so many bytes. */
  #letGoBeside(bytes: number): void {
    const left = this.#mostBytes - bytes;
    if (this.#small.bytes + this.#leaving.bytes <= left) return;
    this.#small.letGoUntil(left);
    if (!this.#inUse) this.#leaving.giveBack(Infinity);
  }

  get #isEmpty(): boolean {
    return this.#held.every(({ length }) => length === 0);
  }

  #replaceSlab(slab: Slab): void {
    const old = this.#slab;
    this.#slab = slab;
    this.#leave([old]);
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
