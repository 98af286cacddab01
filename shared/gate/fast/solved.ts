/**
 * A step whose distribution is known, as masses in the kernel's memory, and what can be asked of
 * it: a token for a random number, and logarithms of single tokens. They are valid until the
 * kernel's next step.
 */
import { likeliest } from '../top-tokens.ts';
import type { DrawableMasses } from './cap-masses.ts';
import { drawMasses } from './draw-masses.ts';
import type { MassRows } from './mass-rows.ts';
import type { SparseSupport } from './sparse-support.ts';
import { massBy } from './support.ts';

/** Two rows of masses after everything but the budget. */
export type Shaped = {
  rows: MassRows;
  /** The sum of the mixture's masses. null if only the safety expert is left. */
  mixture: number | null;
  /** The sum of the reference's masses. */
  reference: number;
  /** The nats that are left of the bound. */
  natsLeft: number | null;
};

export type Solved = {
  /** @param u uniform in [0, 1) */
  token(u: number): number;
  /** What drawing a token spends, in nats. */
  spends(token: number): number;
  /** What a step reports as the token's log-probability. */
  logprob(token: number): number;
  /** log q of a token, the log of what it is measured against, and log p~. */
  logQ(token: number): number;
  logReference(token: number): number;
  logMixture(token: number): number;
  /** The likeliest tokens by `logprob`, likeliest first; among equals, the lowest ids first. */
  top(count: number): number[];
};

/** A distribution to draw from, at a temperature above 0. */
export class Sampled implements Solved {
  readonly #shaped: Shaped;
  readonly #q: DrawableMasses;
  /** The tokens that cuts have left. null if nothing was cut. */
  readonly #sparse: SparseSupport | null;

  constructor(shaped: Shaped, q: DrawableMasses, sparse: SparseSupport | null) {
    this.#shaped = shaped;
    this.#q = q;
    this.#sparse = sparse;
  }

  token(u: number): number {
    return drawMasses(this.#q, u);
  }

  spends(token: number): number {
    return this.logQ(token) - this.logReference(token);
  }

  logprob(token: number): number {
    return this.logQ(token);
  }

  logQ(token: number): number {
    const { recipe } = this.#q;
    const { rows, natsLeft } = this.#shaped;
    const base = this.logReference(token);
    if (recipe.kind === 'reference') return base;
    const mixture = this.logMixture(token);
    // Masses say that it is under the cap only up to rounding; here it is certain.
    const cap = natsLeft === null ? Infinity : Math.min(0, natsLeft + base);
    if (recipe.kind === 'mixture') return Math.min(mixture, cap);
    if (mixture === -Infinity) {
      return base === -Infinity ? base : Math.min(Math.log(recipe.fill) + rows.logReferenceMass(token), cap);
    }
    return Math.min(Math.log(recipe.a) + rows.logMass(token), cap);
  }

  logReference(token: number): number {
    const { rows, reference } = this.#shaped;
    if (this.#sparse && !(this.#sparse.referenceMass(token) > 0)) return -Infinity;
    return rows.logReferenceMass(token) - Math.log(reference);
  }

  logMixture(token: number): number {
    const { rows, mixture } = this.#shaped;
    if (mixture === null) return this.logReference(token);
    if (this.#sparse && !(this.#sparse.mixtureMass(token) > 0)) return -Infinity;
    return rows.isMasked(token) ? -Infinity : rows.logMass(token) - Math.log(mixture);
  }

  top(count: number): number[] {
    const { rows } = this.#shaped;
    const { recipe } = this.#q;
    const row = rows.scratch();
    if (this.#sparse) {
      const { ids, m, r, size } = this.#sparse;
      row.fill(0);
      for (let i = 0; i < size; i++) row[ids[i] ?? NaN] = massBy(recipe, m[i] ?? NaN, r[i] ?? NaN);
    } else {
      const [m, r] = [rows.arrays.mixture.masses.array, rows.arrays.reference.masses.array];
      for (let i = 0; i < row.length; i++) row[i] = massBy(recipe, m[i] ?? NaN, r[i] ?? NaN);
    }
    return topBy(row, count, (token) => this.logprob(token));
  }
}

/** The greedy choice; see greedy-choice.ts. */
export class Choice implements Solved {
  readonly #shaped: Shaped;
  readonly #favourite: number;
  readonly #chosen: number;

  private constructor(shaped: Shaped, { favourite, chosen }: { favourite: number; chosen: number }) {
    this.#shaped = shaped;
    this.#favourite = favourite;
    this.#chosen = chosen;
  }

  /** null if every affordable token's mass is too small to tell which is the likeliest. */
  static of(shaped: Shaped): Choice | null {
    const { rows, mixture, natsLeft } = shaped;
    const favourite = rows.favourite();
    const most = natsLeft === null ? Infinity : Math.max(0, natsLeft);
    // Then the mixture has no say.
    if (mixture === null || most === 0) return new Choice(shaped, { favourite, chosen: favourite });
    const chosen = rows.likeliestWithin(rows.safetyAt(favourite) - most);
    return chosen === null ? null : new Choice(shaped, { favourite, chosen });
  }

  token(): number {
    return this.#chosen;
  }

  spends(token: number): number {
    return this.logQ(token) - this.logReference(token);
  }

  logprob(token: number): number {
    return this.logMixture(token);
  }

  logQ(token: number): number {
    return token === this.#chosen ? 0 : -Infinity;
  }

  logReference(token: number): number {
    const { rows } = this.#shaped;
    if (rows.isMasked(token)) return -Infinity;
    return -(rows.safetyAt(this.#favourite) - rows.safetyAt(token));
  }

  logMixture(token: number): number {
    const { rows, mixture, reference } = this.#shaped;
    if (mixture === null) return rows.logReferenceMass(token) - Math.log(reference);
    return rows.isMasked(token) ? -Infinity : rows.logMass(token) - Math.log(mixture);
  }

  top(count: number): number[] {
    const { rows, mixture } = this.#shaped;
    const { masses } = mixture === null ? rows.arrays.reference : rows.arrays.mixture;
    return topBy(masses.array.subarray(0, rows.tokens), count, (token) => this.logprob(token));
  }
}

/** The likeliest tokens by their masses, or by their logarithms if too few have a mass. */
function topBy(masses: Float64Array, count: number, log: (token: number) => number): number[] {
  const top = likeliest(masses, count, 0);
  if (top.length === Math.min(count, masses.length)) return top;
  return likeliest(
    Float64Array.from(masses, (_, token) => log(token)),
    count,
  );
}
