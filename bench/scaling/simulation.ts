/**
 * A discrete-event simulation: a clock that jumps from event to event, and two kinds of station at
 * which jobs wait. Times are milliseconds. simulation.test.ts holds both stations to what queueing
 * theory says exactly.
 */

type Event = { at: number; order: number; run: () => void };

export class Simulation {
  #now = 0;
  #count = 0;
  /** A binary heap, the earliest event first; among equals, the one that was planned first. */
  readonly #heap: Event[] = [];

  get now(): number {
    return this.#now;
  }

  /** Plans `run` for `ms` from now. */
  after(ms: number, run: () => void): void {
    const event = { at: this.#now + ms, order: this.#count++, run };
    let place = this.#heap.push(event) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!isBefore(event, this.#heap[above]!)) break;
      this.#heap[place] = this.#heap[above]!;
      place = above;
    }
    this.#heap[place] = event;
  }

  /** Runs all events before `endMs`. */
  runUntil(endMs: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at < endMs) {
      const event = this.#next();
      this.#now = event.at;
      event.run();
    }
    this.#now = endMs;
  }

  #next(): Event {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= this.#heap.length) break;
      if (below + 1 < this.#heap.length && isBefore(this.#heap[below + 1]!, this.#heap[below]!)) below++;
      if (!isBefore(this.#heap[below]!, last)) break;
      this.#heap[place] = this.#heap[below]!;
      place = below;
    }
    this.#heap[place] = last;
    return first;
  }
}

const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);

/** c servers and one queue, first come, first served. */
export class Cores {
  readonly #waiting: { ms: number; done: () => void }[] = [];
  /** How many at the head of `#waiting` have been served. */
  #head = 0;
  #free: number;
  #busyMs = 0;
  readonly #simulation: Simulation;

  /** @param count c */
  constructor(simulation: Simulation, count: number) {
    this.#simulation = simulation;
    this.#free = count;
  }

  /** Milliseconds of service that were given so far, over all servers. */
  get busyMs(): number {
    return this.#busyMs;
  }

  serve(ms: number, done: () => void): void {
    if (this.#free === 0) {
      this.#waiting.push({ ms, done });
      return;
    }
    this.#free--;
    this.#start(ms, done);
  }

  #start(ms: number, done: () => void): void {
    this.#busyMs += ms;
    this.#simulation.after(ms, () => {
      const next = this.#waiting[this.#head];
      if (next === undefined) this.#free++;
      else {
        this.#head++;
        if (this.#head > 1000) {
          this.#waiting.splice(0, this.#head);
          this.#head = 0;
        }
        this.#start(next.ms, next.done);
      }
      done();
    });
  }
}

/**
 * One engine that works in steps. A step takes everything that waits, up to `most` units, and takes
 * `stepMs(units)`. A job is one unit or several, which stay together.
 */
export class Batcher {
  readonly #waiting: { units: number; done: () => void }[] = [];
  #running = false;
  #busyMs = 0;
  readonly #simulation: Simulation;
  readonly #stepMs: (units: number) => number;
  readonly #most: number;

  constructor(simulation: Simulation, options: { stepMs: (units: number) => number; most: number }) {
    this.#simulation = simulation;
    this.#stepMs = options.stepMs;
    this.#most = options.most;
  }

  get busyMs(): number {
    return this.#busyMs;
  }

  serve(units: number, done: () => void): void {
    this.#waiting.push({ units, done });
    if (!this.#running) this.#step();
  }

  #step(): void {
    let units = 0;
    let count = 0;
    for (const job of this.#waiting) {
      if (count > 0 && units + job.units > this.#most) break;
      units += job.units;
      count++;
    }
    if (count === 0) {
      this.#running = false;
      return;
    }
    this.#running = true;
    const batch = this.#waiting.splice(0, count);
    const ms = this.#stepMs(units);
    this.#busyMs += ms;
    this.#simulation.after(ms, () => {
      // What these jobs bring back at once is in the next step.
      for (const { done } of batch) done();
      this.#step();
    });
  }
}
