/**
 * The small slabs that runs over a few slots read (gathered-slots.ts): which are kept for the next
 * runs over the same slots, and when it is worth a copy to have one.
 */
import { GatheredSlots } from './gathered-slots.ts';
import type { Slot } from './kv-cache.ts';
import { type CacheShape, type Slab, slabBytes } from './slab.ts';

/** How many small slabs are kept: for the chunks of a prompt, and for answers beside them. */
const MOST_KEPT = 2;
/** After so many short runs over the same slots, the next ones are expected to be over them too. */
const STEADY_RUNS = 4;
/** Such runs may copy so many bytes for it: that takes about as long as one of them. */
const MOST_COPIED = 2 ** 26;

export class SmallSlabs {
  readonly #shape: CacheShape;
  readonly #leave: (slabs: readonly Slab[]) => void;
  /** The one used last comes first. */
  #kept: GatheredSlots[] = [];
  /** The slots of the last short run, and how many such runs in a row had them. */
  #asked: { slots: readonly Slot[]; runs: number } = { slots: [], runs: 0 };

  /** @param leave takes the slabs that are given up; a run may still read one */
  constructor(shape: CacheShape, leave: (slabs: readonly Slab[]) => void) {
    this.#shape = shape;
    this.#leave = leave;
  }

  /** What they take. */
  get bytes(): number {
    return slabBytes(this.#kept.map(({ slab }) => slab));
  }

  /** Whether it is kept. */
  has(one: GatheredSlots): boolean {
    return this.#kept.includes(one);
  }

  /** The one with exactly these slots and all their tokens, which counts as used now, or null. */
  use(slots: readonly Slot[]): GatheredSlots | null {
    const known = this.#kept.find((one) => one.holds(slots));
    if (known === undefined) return null;
    this.#kept = [known, ...this.#kept.filter((one) => one !== known)];
    return known;
  }

  /** Gives up what has no place beside a new one of these slots. */
  makeRoom(slots: readonly Slot[]): void {
    const spared = this.#kept.slice(0, MOST_KEPT - 1);
    this.drop((one) => one.has(slots) || !spared.includes(one));
  }

  /** Keeps a new one, for which there is room. */
  keep(one: GatheredSlots): void {
    this.#kept.unshift(one);
  }

  /** Gives up those that have one of these slots. */
  letGo(slots: readonly Slot[]): void {
    this.drop((one) => one.has(slots));
  }

  /** Gives some up, the one used last at last, until they take so many bytes at most. */
  letGoUntil(bytes: number): void {
    while (this.#kept.length > 0 && this.bytes > bytes) {
      const last = this.#kept.at(-1);
      this.drop((one) => one === last);
    }
  }

  /** Gives up some of them. */
  drop(isGivenUp: (one: GatheredSlots) => boolean): void {
    const givenUp = this.#kept.filter(isGivenUp);
    this.#kept = this.#kept.filter((one) => !isGivenUp(one));
    this.#leave(givenUp.map(({ slab }) => slab));
  }

  /**
   * Notes a run with few tokens over these slots, and says whether it should read a small slab: it
   * has a quarter of the slots or fewer; or half of them or fewer, if there is a small slab of
   * them, or if the last runs were over them too and a copy is cheap.
   *
   * @param slotCount of the slab
   * @param whole does not ask what the last runs were over
   */
  isWorthIt(slots: readonly Slot[], { slotCount, whole }: { slotCount: number; whole: boolean }): boolean {
    const { slots: asked, runs } = this.#asked;
    const isSame = asked.length === slots.length && slots.every((slot, i) => slot === asked[i]);
    this.#asked = { slots, runs: isSame ? runs + 1 : 1 };
    const isSteady = !whole && this.#asked.runs > STEADY_RUNS;
    const isCheap = GatheredSlots.bytesFor(this.#shape, slots) <= MOST_COPIED;
    const isKnown = this.#kept.some((one) => one.holds(slots));
    return slots.length * (isKnown || (isSteady && isCheap) ? 2 : 4) <= slotCount;
  }
}
