/**
 * Decides before each run which answers read a draft ahead, and how much of it: drafter.ts guesses,
 * run-cost.ts knows what a longer run costs here, and choose-draft-length.ts weighs the two.
 */

import { chooseDraftLength } from './choose-draft-length.ts';
import { type Drafted, Drafter, lookUpPrompt, type NewGuesser } from './drafter.ts';
import { RunCost } from './run-cost.ts';

export type DraftOptions = {
  /** Where guesses come from; the client's prompt and the answer so far if left out. */
  newGuesser?: NewGuesser;
  /** How many times as long a run of `tokens` takes as one of `than`; measured if left out. */
  costRatio?: (tokens: number, than: number) => number;
  /** The longest draft, where the experts set one: they may be asked for so many tokens and one. */
  mostAhead?: number | undefined;
};

/** An answer in a run. */
export type Member = { answer: Drafted; rows: number };

export class DraftPlanner {
  readonly #newGuesser: NewGuesser;
  readonly #cost = new RunCost();
  readonly #costRatio: (tokens: number, than: number) => number;
  readonly #mostAhead: number;
  readonly #drafters = new WeakMap<Drafted, Drafter>();

  constructor({ newGuesser = lookUpPrompt, costRatio, mostAhead = MOST_AHEAD }: DraftOptions = {}) {
    this.#newGuesser = newGuesser;
    this.#mostAhead = Math.min(mostAhead, MOST_AHEAD);
    this.#costRatio = costRatio ?? ((tokens, than) => this.#cost.ratio(tokens, than));
  }

  /** The draft of each answer in the coming run, in their order. Call it once for each run. */
  plan(members: readonly Member[]): (readonly number[])[] {
    const rows = members.reduce((sum, one) => sum + one.rows, 0);
    // Reading one token ahead draws at most twice as many.
    if (this.#costRatio(2 * rows, rows) >= 2) return members.map(() => []);
    const drafts = members.map(({ answer }) => {
      const drafter = this.#drafterOf(answer);
      return { ids: drafter.propose(this.#mostAhead), chance: drafter.chance };
    });
    const candidates = drafts.flatMap(({ ids, chance }) => (ids.length > 0 ? [{ length: ids.length, chance }] : []));
    const others = members.length - candidates.length;
    const length = chooseDraftLength(candidates, { rows, others, costRatio: this.#costRatio });
    return drafts.map(({ ids }) => ids.slice(0, length));
  }

  /** Takes note of what came of an answer's draft of `length` tokens. */
  learn(answer: Drafted, outcome: { length: number; accepted: number }): void {
    this.#drafterOf(answer).learn(outcome);
  }

  /** Takes note that the run of an answer's draft failed, so that it is paused like a wrong one. */
  fail(answer: Drafted): void {
    this.#drafterOf(answer).fail();
  }

  /** Takes note of how long a run took that computed `tokens` tokens, padding included. */
  learnCost(run: { tokens: number; ms: number }): void {
    this.#cost.learn(run);
  }

  /** How many drafted tokens became part of the answer, and how many did not. */
  tried(answer: Drafted): { accepted: number; rejected: number } {
    return this.#drafterOf(answer).tried;
  }

  #drafterOf(answer: Drafted): Drafter {
    const drafter = this.#drafters.get(answer) ?? new Drafter(answer, this.#newGuesser);
    this.#drafters.set(answer, drafter);
    return drafter;
  }
}

/** The chance that twelve guesses in a row are right is small even where a text repeats itself. */
const MOST_AHEAD = 12;
