/** Guesses how a text goes on. */
export interface Guesser {
  /** The number of tokens it has read. */
  readonly length: number;
  /** Reads the next token of the text. */
  push(id: number): void;
  guess(count: number): Guess;
}

export type Guess = {
  /** At most as many as were asked for; none if there is nothing to go by. */
  ids: readonly number[];
  /** How many tokens in a row, right before the guess, have come before as they are. */
  seen: number;
};
