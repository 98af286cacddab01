/**
 * The drafts of one answer. It guesses from the client's prompt and the answer so far, and learns
 * from what came of its guesses. (What an expert reads besides is not the client's, and how fast
 * an answer comes should not tell.) A draft of which nothing was accepted makes it pause: for one
 * token first, then for three, seven and so on. So a text that does not repeat itself costs next to
 * nothing.
 */
import type { Answer } from './answer.ts';
import { Chance } from './chance.ts';
import type { Guesser } from './guesser.ts';
import { PromptLookup } from './prompt-lookup.ts';

export type NewGuesser = (promptIds: readonly number[]) => Guesser;

/** What of an answer a drafter looks at. */
export type Drafted = Pick<Answer, 'promptIds' | 'ids' | 'left' | 'sources'>;

export const lookUpPrompt: NewGuesser = (promptIds) => new PromptLookup(promptIds);

export class Drafter {
  readonly #answer: Drafted;
  readonly #newGuesser: NewGuesser;
  /** Made when it is first needed. */
  #guesser: Guesser | null = null;
  /** After few tokens that have come before, and after more of them. */
  readonly #chances = [new Chance(0.3), new Chance(0.6)] as const;
  #chance = this.#chances[0];
  /** Drafts in a row of which nothing was accepted. */
  #misses = 0;
  #pause = 0;
  #accepted = 0;
  #rejected = 0;

  constructor(answer: Drafted, newGuesser: NewGuesser) {
    this.#answer = answer;
    this.#newGuesser = newGuesser;
  }

  /** How likely each token of the last proposal is right, if those before it are. */
  get chance(): number {
    return this.#chance.value;
  }

  /** The drafted tokens that became part of the answer, and those that did not. */
  get tried(): { accepted: number; rejected: number } {
    return { accepted: this.#accepted, rejected: this.#rejected };
  }

  /** Guesses at most `most` tokens. Call it once a step, since it counts the pause. */
  propose(most: number): readonly number[] {
    if (this.#pause > 0) {
      this.#pause--;
      return [];
    }
    const { ids, promptIds, left, sources } = this.#answer;
    // A layers row reads each token under the bounds of the next one, so it cannot read ahead.
    const count = sources.includes('layers') ? 0 : Math.min(most, left - 1);
    if (count < 1) return [];
    this.#guesser ??= this.#newGuesser(promptIds);
    const guesser = this.#guesser;
    for (const id of ids.slice(guesser.length - promptIds.length)) guesser.push(id);
    const { ids: guessed, seen } = guesser.guess(count);
    this.#chance = this.#chances[seen < LONG ? 0 : 1];
    return guessed;
  }

  /** Of the last proposal's first `length` tokens, the first `accepted` were drawn. */
  learn({ length, accepted }: { length: number; accepted: number }): void {
    this.#accepted += accepted;
    this.#rejected += length - accepted;
    // What follows a wrong guess says nothing.
    this.#chance.learn({ guessed: Math.min(length, accepted + 1), right: accepted });
    this.#pauseAfter(accepted);
  }

  /** The run of the last proposal failed, so nobody knows whether it was right. */
  fail(): void {
    this.#pauseAfter(0);
  }

  #pauseAfter(accepted: number): void {
    this.#misses = accepted > 0 ? 0 : this.#misses + 1;
    this.#pause = Math.min(2 ** this.#misses - 1, LONGEST_PAUSE);
  }
}

/** From this many tokens on that have come before, a guess is likelier right. */
const LONG = 3;
/** In tokens. Long enough to be cheap, and short enough to notice when a text begins to repeat. */
const LONGEST_PAUSE = 63;
