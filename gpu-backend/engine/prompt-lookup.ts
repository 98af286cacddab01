/**
 * Guesses how a text goes on from how it went on before: prompt-lookup decoding (Saxena, 2023).
 * Summaries, corrections and changes to code repeat much of their prompt. A guess costs a few map
 * look-ups and no model.
 *
 *     const lookup = new PromptLookup([5, 6, 7, 8, 9, 5, 6]);
 *     lookup.guess(3); // { ids: [7, 8, 9], seen: 2 }
 *
 * Two tokens are the shortest context that counts. One token alone, such as a comma, says too
 * little.
 */
import type { Guess, Guesser } from './guesser.ts';

export class PromptLookup implements Guesser {
  readonly #ids: number[] = [];
  /**
   * Where each pair of tokens was last seen, as the place after it. The pair at the very end is not
   * in here yet, because nothing follows it.
   */
  readonly #latest = new Map<number, number>();
  /** For each place, the one before it that follows the same pair; 0 if there is none. */
  readonly #before: number[] = [];

  constructor(ids: Iterable<number>) {
    for (const id of ids) this.push(id);
  }

  /** The number of tokens. */
  get length(): number {
    return this.#ids.length;
  }

  push(id: number): void {
    const place = this.#ids.length;
    const pair = this.#pairBefore(place);
    this.#before.push((pair !== null && this.#latest.get(pair)) || 0);
    if (pair !== null) this.#latest.set(pair, place);
    this.#ids.push(id);
  }

  /**
   * What followed the longest earlier stretch of tokens that equals the end of the text; the latest
   * one if several are equally long. If the guess reaches the end of the text it goes on with
   * itself, so a text that goes round in circles is guessed at full length.
   *
   * @returns `count` tokens, or none if the last two tokens have not come together before
   */
  guess(count: number): Guess {
    const { place, seen } = this.#find();
    const period = this.#ids.length - place;
    const length = seen === 0 ? 0 : count;
    return { ids: Array.from({ length }, (_, i) => this.#ids[place + (i % period)]!), seen };
  }

  /** The place to copy from, and how many tokens before it equal those at the end; 0 for none. */
  #find(): { place: number; seen: number } {
    const end = this.#ids.length;
    const pair = this.#pairBefore(end);
    let place = pair === null ? 0 : (this.#latest.get(pair) ?? 0);
    let best = { place, seen: 0 };
    for (let tries = 0; place > 0 && tries < MOST_TRIES && best.seen < LONG_ENOUGH; tries++) {
      const seen = this.#sharedLength(place);
      if (seen > best.seen) best = { place, seen };
      place = this.#before[place]!;
    }
    return best;
  }

  /** How many tokens before this place equal those at the end, up to LONG_ENOUGH. */
  #sharedLength(place: number): number {
    const end = this.#ids.length;
    let length = 0;
    while (length < LONG_ENOUGH && length < place && this.#ids[place - 1 - length] === this.#ids[end - 1 - length]) {
      length++;
    }
    return length;
  }

  #pairBefore(place: number): number | null {
    return place < 2 ? null : this.#ids[place - 2]! * ID_LIMIT + this.#ids[place - 1]!;
  }
}

/** Above every token id. A pair of ids makes one exact number. */
const ID_LIMIT = 2 ** 26;
/** Bound what a guess costs where a pair is very frequent. */
const MOST_TRIES = 16;
const LONG_ENOUGH = 12;
