/**
 * What compiling all grammars of one request may cost together. Work is counted and not timed, so
 * a grammar is refused everywhere or nowhere. A unit takes 0.15 to 0.4 µs once the code is warm.
 */
import { GrammarError } from './grammar-error.ts';

/** Some tenths of a second to a second. Ordinary grammars take a few thousand units. */
export const MOST_WORK = 3_000_000;

export class Work {
  #done = 0;
  readonly #tooMuch: string;

  /** @param tooMuch what an error says of the grammar that goes beyond the bound */
  constructor({ tooMuch = 'is too much work' }: { tooMuch?: string } = {}) {
    this.#tooMuch = tooMuch;
  }

  get done(): number {
    return this.#done;
  }

  /** Throws a GrammarError once it all has cost more than any may. */
  spend(units: number): void {
    this.#done += units;
    if (this.#done <= MOST_WORK) return;
    const what = `${this.#tooMuch}: expected fewer alternatives, references or repetitions in each other`;
    throw new GrammarError(what, { unsupported: true });
  }
}
