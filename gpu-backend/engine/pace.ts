/** How fast a queue has been moving: the average seconds between one departure and the next. */
export class Pace {
  readonly #now: () => number;
  /** Sums over past departures; older ones count less. */
  #seconds = 0;
  #count = 0;
  /** When the wait for the next departure began; null if nobody waits. */
  #since: number | null = null;

  /** @param now returns seconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Call this when somebody starts to wait. */
  begin(): void {
    this.#since ??= this.#now();
  }

  /** Call this once for each request that gets its place, even if several do at once. */
  step(): void {
    const now = this.#now();
    this.#seconds = this.#seconds * KEPT + (now - (this.#since ?? now));
    this.#count = this.#count * KEPT + 1;
    this.#since = now;
  }

  /** Call this when nobody waits any more. The time until somebody does is not counted. */
  rest(): void {
    this.#since = null;
  }

  /** Counts the next departure as if it happened now, so that a stalled queue shows. */
  get secondsEach(): number {
    const open = this.#since === null ? 0 : this.#now() - this.#since;
    return (this.#seconds + open) / (this.#count + 1);
  }
}

/** With this weight, about the last thirty departures count. */
const KEPT = 0.97;
