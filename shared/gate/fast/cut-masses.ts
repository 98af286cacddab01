/**
 * Top-k, top-p and min-p of a row of masses, in this order, without a sort and mostly without
 * looking at the row: each cut has a mass below which nothing can be left, and blocks whose largest
 * mass is below that are skipped.
 */
import { findCut } from '../find-cut.ts';
import { leastInNucleus } from '../keep-nucleus.ts';
import { sumOf } from './dense-support.ts';
import type { KeptList, Kernel, MassRow } from './kernel.ts';

export type Cuts = { topK: number; topP: number; minP: number };

/** A row after its cuts. `cut`: whether every token of its support is in the list. */
export type CutRow = { list: KeptList; count: number; total: number; cut: boolean };

/** `lost`: masses below this count as 0. */
type Size = { tokens: number; blocks: number; total: number; lost: number };

/**
 * A mass below which no token can be in the nucleus. For a bound m, the tokens below it have at
 * most what their blocks have, less the largest mass of each block that reaches m. If that is no
 * more than the nucleus leaves out, all of the nucleus is at m or above. We try powers of 2 below
 * the largest mass.
 */
function leastByBlocks(
  { sums, tops }: MassRow,
  { top, topP, tokens, blocks, total }: Omit<Size, 'lost'> & { top: number; topP: number },
): number {
  const sure = leastInNucleus(tokens, { topP, total });
  // The little less is for the rounding of these sums.
  const most = (1 - topP) * total * (1 - 1e-9);
  for (let least = top / 2; least > sure; least /= 2) {
    let below = 0;
    for (let block = 0; block < blocks; block++) {
      const largest = tops.array[block] ?? NaN;
      below += (sums.array[block] ?? NaN) - (largest >= least ? largest : 0);
    }
    if (below <= most) return least;
  }
  return sure;
}

export class Cutter {
  readonly #kernel: Kernel;
  /** Reordered by each search. It grows to the largest list that it meets. */
  #pool = new Float64Array(0);

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  cut(row: MassRow, list: KeptList, { topK, topP, minP, tokens, blocks, total, lost }: Cuts & Size): CutRow {
    let top = 0;
    for (let block = 0; block < blocks; block++) top = Math.max(top, row.tops.array[block] ?? NaN);
    const cutsK = topK > 0 && topK < tokens;
    const floors = [
      Number.MIN_VALUE,
      // Under top-k, the nucleus is one of what top-k leaves. So only top-k has a bound.
      cutsK
        ? this.#leastOfTop(row, { topK, blocks })
        : topP < 1
          ? leastByBlocks(row, { top, topP, tokens, blocks, total })
          : 0,
      cutsK && topP < 1 ? 0 : minP * top,
    ];
    const least = Math.max(...floors);
    let count = this.#kernel.run.collect(row.masses.at, row.tops.at, blocks, least, list.ids.at, list.kept.at);

    let left = total;
    if (cutsK) {
      if (count > topK) count = this.#keep(list, count, this.#find(list, { count, wanted: topK, by: 'each' }));
      left = sumOf(list.kept.array, count);
    }
    // With fewer tokens than k, or a min-p next to 0, some may be left whose mass is too small for
    // a double.
    const cut = topP < 1 || minP * top >= lost || count === topK;
    if (topP < 1) count = this.#keep(list, count, this.#find(list, { count, wanted: topP * left, by: 'sum' }));
    if (minP > 0) count = this.#keep(list, count, { value: minP * top, room: Infinity });
    return { list, count, total: sumOf(list.kept.array, count), cut };
  }

  /** The k-th largest of the blocks' largest masses. At least k tokens have that much. */
  #leastOfTop({ tops }: MassRow, { topK, blocks }: { topK: number; blocks: number }): number {
    if (topK > blocks) return 0;
    return findCut(this.#copy(tops.array, blocks), { size: blocks, wanted: topK, count: 'each' }).value;
  }

  #find({ kept }: KeptList, { count, wanted, by }: { count: number; wanted: number; by: 'each' | 'sum' }) {
    return findCut(this.#copy(kept.array, count), { size: count, wanted, count: by });
  }

  /** Leaves out of a list what a cut drops, in place, and returns how many are left. */
  #keep({ ids, kept }: KeptList, count: number, cut: { value: number; room: number }): number {
    let { room } = cut;
    let left = 0;
    for (let i = 0; i < count; i++) {
      const mass = kept.array[i] ?? NaN;
      if (!(mass > cut.value || (mass === cut.value && room-- > 0))) continue;
      ids.array[left] = ids.array[i] ?? NaN;
      kept.array[left++] = mass;
    }
    return left;
  }

  #copy(numbers: Float64Array, count: number): Float64Array {
    if (this.#pool.length < count) this.#pool = new Float64Array(2 * count);
    this.#pool.set(numbers.subarray(0, count));
    return this.#pool;
  }
}
