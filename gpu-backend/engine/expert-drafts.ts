/**
 * Drafts that an expert makes itself. Where experts run elsewhere, a token costs the way there and
 * back, so it pays to let one expert guess several tokens in one call and the other one score them
 * in a second. How many depends on what came of the guesses so far and on what a longer draft
 * costs: both are measured here, and choose-draft-length.ts weighs them.
 */
import { Chance } from './chance.ts';
import { chooseDraftLength } from './choose-draft-length.ts';
import type { Job } from './job.ts';
import { RunCost } from './run-cost.ts';

type Guessing = Pick<Job, 'guess'> & { answer: Pick<Job['answer'], 'left' | 'sources'> };

export class ExpertDrafts {
  readonly #most: number;
  /** Of rounds with a draft, by its length. The second way there and back is part of it. */
  readonly #cost = new RunCost();
  /** Of rounds without one, in ms, the later ones counting more; null before the first. */
  #singleMs: number | null = null;
  readonly #costRatio: (tokens: number, than: number) => number;
  readonly #measures: boolean;
  /** Whether a round with a draft has been timed. */
  #isMeasured = false;
  /** Of all answers, for those that begin. */
  readonly #overall = new Chance(FIRST_CHANCE);
  readonly #chances = new WeakMap<Guessing['answer'], Chance>();
  /** Those whose last draft failed. */
  readonly #failed = new WeakSet<Guessing['answer']>();
  /** Rounds since the last draft. */
  #rest = 0;
  /** Rounds since the last one without a draft. */
  #drafted = LONGEST_RUN;

  /**
   * @param most the most tokens that an expert guesses at once
   * @param costRatio how many times as long a round of `tokens` positions takes as one of `than`;
   *   measured if left out
   */
  constructor(most: number, { costRatio }: { costRatio?: (tokens: number, than: number) => number } = {}) {
    this.#most = most;
    this.#measures = costRatio === undefined;
    this.#costRatio = costRatio ?? ((tokens) => this.#measuredRatio(tokens - 1));
  }

  /**
   * Asks for the drafts of the coming round, in the order of these answers. Call it once a round.
   *
   * @param others how many more answers are in the round
   */
  async ask(jobs: readonly Guessing[], { others = 0 } = {}): Promise<(readonly number[])[]> {
    const lengths = this.#plan(jobs, others);
    return Promise.all(jobs.map((job, i) => (lengths[i]! > 0 ? job.guess(lengths[i]!) : [])));
  }

  /** Takes note that of an answer's draft, the first `accepted` tokens were drawn. */
  learn(answer: Guessing['answer'], { length, accepted }: { length: number; accepted: number }): void {
    // What follows a wrong guess says nothing.
    const outcome = { guessed: Math.min(length, accepted + 1), right: accepted };
    this.#chanceOf(answer).learn(outcome);
    this.#overall.learn(outcome);
  }

  /**
   * Takes note that the run of an answer's draft failed. Its next round has none: that shows
   * whether the answer can go on at all.
   */
  fail(answer: Guessing['answer']): void {
    this.#failed.add(answer);
    this.learn(answer, { length: 1, accepted: 0 });
  }

  /**
   * Takes note of how long a round took whose longest draft had `length` tokens, asking included.
   */
  learnCost({ length, ms }: { length: number; ms: number }): void {
    if (length > 0) {
      this.#cost.learn({ tokens: length, ms });
      this.#isMeasured = true;
    } else this.#singleMs = this.#singleMs === null ? ms : this.#singleMs + (ms - this.#singleMs) * NEWEST;
  }

  /** How many times as long a round with a draft of `length` tokens takes as one without. */
  #measuredRatio(length: number): number {
    if (this.#singleMs === null || !this.#isMeasured) return 1;
    return this.#cost.estimate(length) / this.#singleMs;
  }

  #plan(jobs: readonly Guessing[], others: number): number[] {
    const candidates = jobs.map(({ answer }) => {
      const chance = this.#chanceOf(answer).value;
      // A layers row reads each token under the bounds of the next one, so it cannot read ahead.
      const mayDraft = !this.#failed.delete(answer) && !answer.sources.includes('layers');
      const room = mayDraft ? answer.left - 1 : 0;
      return { length: Math.max(0, Math.min(this.#most, room, worthGuessing(chance))), chance };
    });
    const some = candidates.filter(({ length }) => length > 0);
    if (some.length === 0) return candidates.map(() => 0);
    const rest = { rows: 1, others: others + candidates.length - some.length, costRatio: this.#costRatio };
    const best = chooseDraftLength(some, rest);
    // Without a guess now and then, nobody would learn that they have become right.
    const wanted = best === 0 && this.#rest >= LONGEST_REST ? 1 : best;
    // Without a round that has none, nobody would know what a draft costs.
    const length = this.#measures && this.#drafted >= LONGEST_RUN ? 0 : wanted;
    this.#rest = length > 0 ? 0 : this.#rest + 1;
    this.#drafted = length > 0 ? this.#drafted + 1 : 0;
    return candidates.map((one) => Math.min(one.length, length));
  }

  #chanceOf(answer: Guessing['answer']): Chance {
    const chance = this.#chances.get(answer) ?? new Chance(this.#overall.value);
    this.#chances.set(answer, chance);
    return chance;
  }
}

/**
 * As many tokens as are all right in one of ten drafts; the rest would only keep an engine busy.
 */
function worthGuessing(chance: number): number {
  return chance >= 1 ? Infinity : Math.max(1, Math.floor(Math.log(0.1) / Math.log(chance)));
}

/** At temperature 1, the likeliest token of an instructed model is drawn about as often. */
const FIRST_CHANCE = 0.7;
/** In rounds. */
const LONGEST_REST = 16;
const LONGEST_RUN = 24;
/** The part that the newest round has in the mean. */
const NEWEST = 0.2;
