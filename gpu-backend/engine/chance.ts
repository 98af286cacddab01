/** How likely a guess is right, learned from those before it. */
export class Chance {
  #guessed = FIRST_GUESSES;
  #right: number;

  constructor(expected: number) {
    this.#right = FIRST_GUESSES * expected;
  }

  get value(): number {
    return this.#right / this.#guessed;
  }

  learn({ guessed, right }: { guessed: number; right: number }): void {
    this.#guessed = this.#guessed * KEPT + guessed;
    this.#right = this.#right * KEPT + right;
  }
}

/** What is expected before the first draft counts as much as this many guesses. */
const FIRST_GUESSES = 2;
/** With this weight, about the last five drafts count. */
const KEPT = 0.8;
