/**
 * `Support` over the tokens that top-k, top-p or min-p have left of the mixture, of the reference,
 * or of both. It is used again for every step.
 */
import type { KeptList } from './kernel.ts';
import { type Drawn, massBy, type Recipe, type Split, type Support } from './support.ts';

export class SparseSupport implements Support {
  cut = false;
  /** The tokens' ids, ascending; the first `size` are in use. */
  ids = new Int32Array(0);
  m = new Float64Array(0);
  r = new Float64Array(0);
  size = 0;

  /** Merges two lists. A token that one of them lacks has no mass there. */
  merge(
    mixture: { list: KeptList; count: number; cut: boolean },
    reference: { list: KeptList; count: number; cut: boolean },
  ): this {
    this.cut = mixture.cut && reference.cut;
    this.#reserve(mixture.count + reference.count);
    const [idsM, massesM] = [mixture.list.ids.array, mixture.list.kept.array];
    const [idsR, massesR] = [reference.list.ids.array, reference.list.kept.array];
    let [i, k, size] = [0, 0, 0];
    while (i < mixture.count || k < reference.count) {
      const idM = i < mixture.count ? (idsM[i] ?? NaN) : Infinity;
      const idR = k < reference.count ? (idsR[k] ?? NaN) : Infinity;
      this.ids[size] = Math.min(idM, idR);
      this.m[size] = idM <= idR ? (massesM[i++] ?? NaN) : 0;
      this.r[size++] = idR <= idM ? (massesR[k++] ?? NaN) : 0;
    }
    this.size = size;
    return this;
  }

  #reserve(size: number): void {
    if (this.ids.length >= size) return;
    this.ids = new Int32Array(2 * size);
    this.m = new Float64Array(2 * size);
    this.r = new Float64Array(2 * size);
  }

  split(a: number, b: number): Split {
    let [free, capped, count] = [0, 0, 0];
    for (let i = 0; i < this.size; i++) {
      const [m, r] = [this.m[i] ?? NaN, this.r[i] ?? NaN];
      if (a * m > b * r) {
        capped += r;
        count++;
      } else free += m;
    }
    return { free, capped, count };
  }

  mixtureMass(token: number): number {
    return this.m[this.#placeOf(token)] ?? 0;
  }

  referenceMass(token: number): number {
    return this.r[this.#placeOf(token)] ?? 0;
  }

  /** By halving; -1 if the token is not there. */
  #placeOf(token: number): number {
    let [from, end] = [0, this.size];
    while (from < end) {
      const middle = (from + end) >> 1;
      if ((this.ids[middle] ?? NaN) < token) from = middle + 1;
      else end = middle;
    }
    return from < this.size && this.ids[from] === token ? from : -1;
  }

  /** Whether a token with mass in the mixture has none in the reference. */
  passesReference(): boolean {
    for (let i = 0; i < this.size; i++) if ((this.m[i] ?? NaN) > 0 && this.r[i] === 0) return true;
    return false;
  }

  outside(): number {
    let outside = 0;
    for (let i = 0; i < this.size; i++) if (this.m[i] === 0) outside += this.r[i] ?? NaN;
    return outside;
  }

  draw(recipe: Recipe, u: number): Drawn {
    let passed = 0;
    let last = -1;
    for (let i = 0; i < this.size; i++) {
      const mass = massBy(recipe, this.m[i] ?? NaN, this.r[i] ?? NaN);
      if (mass > 0) last = this.ids[i] ?? NaN;
      passed += mass;
      if (passed > u) return { token: last, last, passed };
    }
    return { token: -1, last, passed };
  }
}
