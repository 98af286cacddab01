/** How fast a queue has been moving: the seconds between one that leaves it and the next. */
export class Pace {
  readonly #now: () => number;
  /** Sums over those that left; older ones count less. */
  #seconds = 0;
  #count = 0;
  /** Since when the next one to leave has been due. null: nobody waits. */
  #since: number | null = null;

  /** @param now in seconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Somebody waits. */
  begin(): void {
    this.#since ??= this.#now();
  }

  /** One of those who wait got its place. Several at once are as many calls. */
  step(): void {
    const now = this.#now();
    this.#seconds = this.#seconds * KEPT + (now - (this.#since ?? now));
    this.#count = this.#count * KEPT + 1;
    this.#since = now;
  }

  /** Nobody waits any more. The time until somebody does says nothing. */
  rest(): void {
    this.#since = null;
  }

  /** Counts the one that is due as if it left now, so that a queue that stands still shows. */
  get secondsEach(): number {
    const open = this.#since === null ? 0 : this.#now() - this.#since;
    return (this.#seconds + open) / (this.#count + 1);
  }
}

/** About the last thirty count. */
const KEPT = 0.97;
