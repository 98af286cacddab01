/** How fast a queue moves, by what it did of late: seconds from one that leaves it to the next. */
export class Pace {
  readonly #now: () => number;
  /** Of those that left, the older the less. */
  #seconds = 0;
  #count = 0;
  /** Since when the next one to leave has been due; null: nobody waits. */
  #since: number | null = null;

  /** @param now in seconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Somebody waits. */
  begin(): void {
    this.#since ??= this.#now();
  }

  /** One of those who wait has its place. Several at once are as many calls. */
  step(): void {
    const now = this.#now();
    this.#seconds = this.#seconds * KEPT + (now - (this.#since ?? now));
    this.#count = this.#count * KEPT + 1;
    this.#since = now;
  }

  /** Nobody waits any more: the time until somebody does says nothing. */
  rest(): void {
    this.#since = null;
  }

  /** The one that is due counts as if it left now, so that a queue that stands still is seen to. */
  get secondsEach(): number {
    const open = this.#since === null ? 0 : this.#now() - this.#since;
    return (this.#seconds + open) / (this.#count + 1);
  }
}

/** The last thirty or so count. */
const KEPT = 0.97;
