/**
 * Turns two rows of logits into masses: unnormalised probabilities, of the mixture and of the
 * reference, in the kernel's memory. Natural logarithms of single masses come from the logits
 * again, so a log-probability is as exact as in the plain version, however small its mass.
 *
 * Logits enter as their distance from the largest of their row. So adding a constant to a row
 * changes no bit.
 */
import type { Rule } from '#shared/line/line.ts';
import type { SamplingParams } from '../gate-types.ts';
import { sumOf } from './dense-support.ts';
import { type Arrays, BLOCK, type Kernel, type MassRow } from './kernel.ts';

/** How the mixture comes of the rows: the second row itself, or both by a rule. */
export type Mixed = { kind: 'beside' } | { kind: Rule; weight: number };

type Wishes = Pick<SamplingParams, 'mask' | 'allowed' | 'scale' | 'bias'>;

/** A row whose masses sum to less has lost digits, or tokens, that matter. */
export const LEAST_SUM = 1e-200;

/** The smallest normal double. The kernel counts what is smaller as 0. */
export const LEAST_MASS = 2 ** -1022;

/** Masses of tokens beyond this in the exponent would leave the doubles. */
const MOST_EXPONENT = 600;

export class MassRows {
  readonly #kernel: Kernel;
  arrays: Arrays;
  tokens = 0;
  blocks = 0;
  #safetyMost = NaN;
  #besideMost = NaN;
  /** Sums of exp(logit - largest). null: not computed yet. */
  #safetySum: number | null = null;
  #besideSum: number | null = null;
  #masked = false;
  #mixed: Mixed = { kind: 'beside' };
  #scale: SamplingParams['scale'];
  #bias: SamplingParams['bias'];
  /** 1 / temperature. */
  #cooling = 1;
  /** The log of the sum of the mixture's masses at temperature 1, before any wish. */
  #logZ = 0;
  /** What is taken from the mixture's log masses before they are cooled. */
  #shift = 0;
  /** Masses of the mixture below this count as 0. */
  lost = LEAST_MASS;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.arrays = kernel.arraysFor(0);
  }

  /** Reads the rows. Returns false if one of them is no distribution. */
  read(safety: Float32Array, beside: Float32Array | null): boolean {
    this.tokens = safety.length;
    this.blocks = Math.ceil(safety.length / BLOCK);
    this.arrays = this.#kernel.arraysFor(this.tokens);
    this.#safetyMost = this.#readRow(safety, this.arrays.safety);
    this.#besideMost = beside ? this.#readRow(beside, this.arrays.beside) : 0;
    this.#safetySum = this.#besideSum = null;
    return Number.isFinite(this.#safetyMost) && Number.isFinite(this.#besideMost);
  }

  #readRow(logits: Float32Array, { at, array }: Arrays['safety']): number {
    array.set(logits);
    array.fill(-Infinity, logits.length, this.blocks * BLOCK);
    return this.#kernel.run.largest(at, this.blocks);
  }

  /** Writes the masses of p_s under masks and temperature, and returns their sum. */
  makeReference(temperature: number, wishes: Wishes): number {
    this.#cooling = 1 / temperature;
    const { safety, reference } = this.arrays;
    this.#masses(reference, safety.at, this.#safetyMost, this.#cooling);
    return this.#finishReference(temperature, wishes);
  }

  #finishReference(temperature: number, wishes: Wishes): number {
    const { reference } = this.arrays;
    const sum = sumOf(reference.sums.array, this.blocks);
    if (temperature === 1) this.#safetySum = sum;
    this.#setWords(wishes);
    return this.#allow(reference) ?? sum;
  }

  /**
   * Writes the masses of p under masks, scale, bias and temperature, and those of the reference.
   * Returns both sums. The mixture's is NaN if its masses leave the doubles, at this temperature or
   * where a penalty starts from.
   */
  makeBoth(mixed: Mixed, temperature: number, wishes: Wishes): { reference: number; mixture: number } {
    this.#mixed = mixed;
    this.#scale = wishes.scale?.size ? wishes.scale : undefined;
    this.#bias = wishes.bias?.size ? wishes.bias : undefined;
    this.#logZ = this.#shift = 0;
    this.lost = LEAST_MASS;
    this.#cooling = 1 / temperature;
    if (mixed.kind === 'geometric') {
      const sum = this.#mix(mixed, temperature);
      return { reference: this.#finishReference(temperature, wishes), mixture: this.#finishMixture(sum) };
    }
    const reference = this.makeReference(temperature, wishes);
    const sum =
      mixed.kind === 'arithmetic' ? this.#blendMasses(mixed.weight, temperature) : this.#mix(mixed, temperature);
    return { reference, mixture: this.#finishMixture(sum) };
  }

  #finishMixture(sum: number): number {
    if (Number.isNaN(sum)) return sum;
    const adjusted = this.#scale || this.#bias ? this.#adjust() : sum;
    return this.#allow(this.arrays.mixture) ?? adjusted;
  }

  /** The geometric rule, or the second row alone. */
  #mix(mixed: Exclude<Mixed, { kind: 'arithmetic' }>, temperature: number): number {
    const at = (cooling: number) =>
      mixed.kind === 'beside'
        ? this.#masses(this.arrays.mixture, this.arrays.beside.at, this.#besideMost, cooling)
        : this.#twoMasses(mixed.weight, cooling);
    // A penalty multiplies log p, which takes the mixture's own sum at temperature 1.
    if (this.#scale && temperature !== 1) {
      const own = at(1);
      if (!(own >= LEAST_SUM)) return NaN;
      this.#logZ = Math.log(own);
    }
    const sum = at(this.#cooling);
    if (temperature === 1) this.#logZ = Math.log(sum);
    if (temperature === 1 && mixed.kind === 'beside') this.#besideSum = sum;
    return sum;
  }

  /** Writes the masses of both rows in one pass over the logits. Returns the mixture's sum. */
  #twoMasses(weight: number, cooling: number): number {
    const { safety, beside, mixture, reference } = this.arrays;
    this.#kernel.run.twoMasses(
      safety.at,
      beside.at,
      reference.masses.at,
      reference.sums.at,
      reference.tops.at,
      mixture.masses.at,
      mixture.sums.at,
      mixture.tops.at,
      this.blocks,
      this.#safetyMost,
      this.#besideMost,
      cooling,
      weight * cooling,
      (1 - weight) * cooling,
    );
    return sumOf(mixture.sums.array, this.blocks);
  }

  /** The arithmetic rule: the experts' probabilities, weighed, and only then the temperature. */
  #blendMasses(weight: number, temperature: number): number {
    const { safety, beside, mixture, reference } = this.arrays;
    const { masses, sums, tops } = mixture;
    const { run } = this.#kernel;
    this.#besideSum = this.#masses(mixture, beside.at, this.#besideMost, 1);
    // The reference holds what is needed only at temperature 1 and without masks. `free` and
    // `capped` are not in use yet.
    const plain = temperature === 1 && !this.#masked;
    if (!plain) {
      const spare = { ...reference, sums: this.arrays.free, tops: this.arrays.capped };
      this.#safetySum = this.#masses(spare, safety.at, this.#safetyMost, 1);
    }
    const [ownSafety, ownBeside] = [this.#safetySum ?? NaN, this.#besideSum];
    run.blend(masses.at, reference.masses.at, this.blocks, weight / ownSafety, (1 - weight) / ownBeside);
    run.measure(masses.at, sums.at, tops.at, this.blocks);
    if (temperature !== 1) {
      const top = largestOf(tops.array, this.blocks);
      this.#shift = Math.log(top);
      // What was lost at temperature 1 would be far larger at a higher one.
      this.lost = Math.max(LEAST_MASS, (LEAST_MASS / top) ** this.#cooling);
      run.heat(masses.at, this.blocks, top, this.#cooling);
      run.measure(masses.at, sums.at, tops.at, this.blocks);
    }
    if (!plain) {
      this.#masses(reference, safety.at, this.#safetyMost, this.#cooling);
      this.#allow(reference);
    }
    return sumOf(sums.array, this.blocks);
  }

  #masses({ masses, sums, tops }: MassRow, logits: number, most: number, cooling: number): number {
    this.#kernel.run.masses(logits, masses.at, sums.at, tops.at, this.blocks, most, cooling);
    return sumOf(sums.array, this.blocks);
  }

  /** Applies scale and bias to the tokens that have one. */
  #adjust(): number {
    const { masses, sums, tops } = this.arrays.mixture;
    const touched = [...(this.#scale?.keys() ?? []), ...(this.#bias?.keys() ?? [])].filter((token) => this.#has(token));
    let most = -Infinity;
    for (const token of touched) {
      const exponent = this.logMass(token);
      most = Math.max(most, exponent);
      masses.array[token] = Math.exp(exponent);
    }
    for (const token of touched) {
      const block = Math.floor(token / BLOCK);
      this.#kernel.run.measure(masses.at + 8 * BLOCK * block, sums.at + 8 * block, tops.at + 8 * block, 1);
    }
    return most > MOST_EXPONENT ? NaN : sumOf(sums.array, this.blocks);
  }

  /** An id outside the row names no token. */
  #has(token: number): boolean {
    return Number.isInteger(token) && token >= 0 && token < this.tokens;
  }

  #setWords({ mask, allowed }: Wishes): void {
    const words = this.arrays.words.array;
    this.#masked = Boolean(mask?.size || allowed);
    if (!this.#masked) return;
    words.fill(allowed ? 0 : 0xffffffff, 0, 2 * this.blocks);
    if (allowed) words.set(allowed.subarray(0, 2 * this.blocks));
    for (const token of mask ?? []) {
      if (this.#has(token)) words[token >>> 5] = (words[token >>> 5] ?? 0) & ~(1 << (token & 31));
    }
  }

  /** Takes the masked tokens out of a row. Returns its new sum, or null if nothing is masked. */
  #allow({ masses, sums, tops }: MassRow): number | null {
    if (!this.#masked) return null;
    this.#kernel.run.allow(masses.at, sums.at, tops.at, this.blocks, this.arrays.words.at);
    return sumOf(sums.array, this.blocks);
  }

  isMasked(token: number): boolean {
    return this.#masked && (((this.arrays.words.array[token >>> 5] ?? 0) >>> (token & 31)) & 1) === 0;
  }

  /** The log of a token's mass in the reference. */
  logReferenceMass(token: number): number {
    return this.isMasked(token) ? -Infinity : this.safetyAt(token) * this.#cooling;
  }

  /** The reference's likeliest token; among equals, the lowest id. */
  favourite(): number {
    const { masses, tops } = this.arrays.reference;
    const block = tops.array.indexOf(largestOf(tops.array, this.blocks));
    return masses.array.indexOf(tops.array[block] ?? NaN, block * BLOCK);
  }

  /**
   * The mixture's likeliest token among those whose logit under the safety expert is at least
   * `least`, counted from the largest of its row. Among equals, the lowest id. null if none of them
   * has a mass.
   */
  likeliestWithin(least: number): number | null {
    const { mixture, safety, free } = this.arrays;
    const { masses } = mixture;
    this.#kernel.run.topsWithin(masses.at, safety.at, free.at, this.blocks, this.#safetyMost, least);
    const top = largestOf(free.array, this.blocks);
    if (top === 0) return null;
    let token = free.array.indexOf(top) * BLOCK;
    while (masses.array[token] !== top || !(this.safetyAt(token) >= least)) token++;
    return token;
  }

  /** A row to write anything into, [vocabulary]. It takes the place of the reference's list. */
  scratch(): Float64Array {
    return this.arrays.referenceList.kept.array.subarray(0, this.tokens);
  }

  /** A token's logit, as its distance from the largest of its row: at most 0. */
  safetyAt(token: number): number {
    return (this.arrays.safety.array[token] ?? NaN) - this.#safetyMost;
  }

  #besideAt(token: number): number {
    return (this.arrays.beside.array[token] ?? NaN) - this.#besideMost;
  }

  /** The log of a token's mass in the mixture, without masks. */
  logMass(token: number): number {
    let log = this.#logMixed(token);
    const factor = this.#scale?.get(token);
    if (factor !== undefined) log = factor * (log - this.#logZ) + this.#logZ;
    return (log + (this.#bias?.get(token) ?? 0) - this.#shift) * this.#cooling;
  }

  /** The same before any wish, at temperature 1. */
  #logMixed(token: number): number {
    const [safety, beside] = [this.safetyAt(token), this.#besideAt(token)];
    if (this.#mixed.kind === 'beside') return beside;
    const { kind, weight } = this.#mixed;
    if (kind === 'geometric') return weight * safety + (1 - weight) * beside;
    const a = Math.log(weight) - Math.log(this.#safetySum ?? NaN) + safety;
    const b = Math.log1p(-weight) - Math.log(this.#besideSum ?? NaN) + beside;
    const most = Math.max(a, b);
    return most === -Infinity ? most : most + Math.log1p(Math.exp(-Math.abs(a - b)));
  }

  /** The safety expert's own log-probability of a token. */
  logSafety(token: number): number {
    this.#safetySum ??= this.#kernel.run.roughSum(this.arrays.safety.at, this.blocks, this.#safetyMost);
    return this.safetyAt(token) - Math.log(this.#safetySum);
  }

  /** The same for the second row. */
  logBeside(token: number): number {
    this.#besideSum ??= this.#kernel.run.roughSum(this.arrays.beside.at, this.blocks, this.#besideMost);
    return this.#besideAt(token) - Math.log(this.#besideSum);
  }
}

/** The largest of the first `count` numbers, none of which is below 0. */
function largestOf(numbers: Float64Array, count: number): number {
  let most = 0;
  for (let i = 0; i < count; i++) most = Math.max(most, numbers[i] ?? NaN);
  return most;
}
