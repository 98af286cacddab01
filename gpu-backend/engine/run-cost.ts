/**
 * How long a run takes, from how many tokens it computes, over all rows: a fixed part (above all,
 * reading the weights) and a part for each token. Both are fitted to the runs so far by least
 * squares, the later ones counting more. Which of the two is large depends on model, arithmetic and
 * machine, so it is measured where it runs.
 */
export class RunCost {
  /** Sums over the runs, of 1, tokens, tokens squared, ms, and tokens x ms. */
  #n = 0;
  #x = 0;
  #xx = 0;
  #y = 0;
  #xy = 0;

  learn({ tokens, ms }: { tokens: number; ms: number }): void {
    this.#n = this.#n * KEPT + 1;
    this.#x = this.#x * KEPT + tokens;
    this.#xx = this.#xx * KEPT + tokens ** 2;
    this.#y = this.#y * KEPT + ms;
    this.#xy = this.#xy * KEPT + tokens * ms;
  }

  /** How long a run of `tokens` takes, in ms; meaningless before the first one. */
  estimate(tokens: number): number {
    const { fixed, perToken } = this.#fit();
    return fixed + perToken * tokens;
  }

  /** How many times as long a run of `tokens` takes as a run of `than` tokens. */
  ratio(tokens: number, than: number): number {
    return this.estimate(tokens) / this.estimate(than);
  }

  /**
   * Minimises the sum of (fixed + perToken * tokens - ms)^2, plus TRUST * (perToken - EXPECTED *
   * fixed)^2. The second part counts while all runs are about equally long, or while the last long
   * one was a long time ago.
   */
  #fit(): { fixed: number; perToken: number } {
    if (this.#n === 0) return { fixed: 1, perToken: EXPECTED };
    const [a, b, c] = [this.#n + TRUST * EXPECTED ** 2, this.#x - TRUST * EXPECTED, this.#xx + TRUST];
    const determinant = a * c - b * b;
    const fixed = (this.#y * c - this.#xy * b) / determinant;
    const perToken = (this.#xy * a - this.#y * b) / determinant;
    // Noise can make either negative.
    if (perToken < 0) return { fixed: this.#y / this.#n, perToken: 0 };
    if (fixed < 0) return { fixed: 0, perToken: this.#xy / this.#xx };
    return { fixed, perToken };
  }
}

/** With this weight, about the last fifty runs count. */
const KEPT = 0.98;
/**
 * A token's part of the fixed one, before it is measured. SmolLM2-135M on two cores shows 0.03 to
 * 0.06 in f32 and 0.1 in int4. Rather too little than too much: it takes a draft to measure.
 */
const EXPECTED = 0.05;
/** In tokens squared. A single run with four tokens more than the others weighs as much. */
const TRUST = 16;
