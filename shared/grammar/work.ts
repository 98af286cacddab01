/**
 * What compiling one grammar may cost. Work is counted and not timed, so a grammar is refused
 * everywhere or nowhere. A unit takes 0.15 to 0.4 µs once the code is warm.
 */
import { GrammarError } from './grammar-error.ts';

/** Some tenths of a second to a second. Ordinary grammars take a few thousand units. */
export const MOST_WORK = 3_000_000;

export class Work {
  #done = 0;

  get done(): number {
    return this.#done;
  }

  /** Throws a GrammarError once the grammar has cost more than any may. */
  spend(units: number): void {
    this.#done += units;
    if (this.#done <= MOST_WORK) return;
    const what = 'is too much work: expected fewer alternatives, references or repetitions in each other';
    throw new GrammarError(what, { unsupported: true });
  }
}
