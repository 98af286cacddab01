/**
 * Slabs that nobody reads any more, except perhaps the run under way. The system takes about half a
 * millisecond to take back a megabyte, and answers under way should not wait for hundreds. So their
 * memory goes little by little, or at once where it is needed.
 */
import { type Slab, slabBytes } from './slab.ts';

export class LeavingSlabs {
  #slabs: readonly Slab[] = [];

  /** What is still to be given back. */
  get bytes(): number {
    return slabBytes(this.#slabs);
  }

  has(slab: Slab): boolean {
    return this.#slabs.includes(slab);
  }

  add(slabs: readonly Slab[]): void {
    this.#slabs = [...new Set([...this.#slabs, ...slabs])];
  }

  /** Gives back so many bytes, or all that there are. Not while a run may read them. */
  giveBack(bytes: number): void {
    let left = bytes;
    for (const slab of this.#slabs) left -= left > 0 ? slab.giveBack(left) : 0;
    this.#slabs = this.#slabs.filter((slab) => slab.bytes > 0);
  }
}
