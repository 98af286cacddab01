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
 * What a step of an engine works at: a question for one next token, or a prompt, which may be read
 * in parts.
 */
type Job = { sequences: number; ms: number; isPrompt: boolean };

/**
 * One engine that works in steps. A step takes `readMs` and the milliseconds of its jobs. It takes
 * what waits, first come, first served, up to `mostSequences` sequences and `mostMs` milliseconds.
 * Of a prompt that would make it longer it reads a part, and the next step begins with the rest.
 * Jobs that come at the same moment may be in the same step.
 */
export class Batcher {
  #waiting: (Job & { done: () => void })[] = [];
  #running = false;
  #busyMs = 0;
  #longestMs = 0;
  readonly #simulation: Simulation;
  readonly #limits: { readMs: number; mostSequences: number; mostMs: number };

  constructor(simulation: Simulation, limits: { readMs: number; mostSequences: number; mostMs: number }) {
    this.#simulation = simulation;
    this.#limits = limits;
  }

  get busyMs(): number {
    return this.#busyMs;
  }

  /** Milliseconds of the longest step so far. */
  get longestMs(): number {
    return this.#longestMs;
  }

  serve(job: Job, done: () => void): void {
    this.#waiting.push({ ...job, done });
    if (this.#running) return;
    this.#running = true;
    this.#simulation.after(0, () => this.#step());
  }

  #step(): void {
    if (this.#waiting.length === 0) {
      this.#running = false;
      return;
    }
    const { ms, ended } = this.#take();
    this.#busyMs += ms;
    this.#longestMs = Math.max(this.#longestMs, ms);
    this.#simulation.after(ms, () => {
      // What these jobs bring back at once is in the next step.
      for (const { done } of ended) done();
      this.#step();
    });
  }

  /** Takes the jobs of one step from those that wait. A part of a prompt ends no job. */
  #take() {
    const { readMs, mostSequences, mostMs } = this.#limits;
    let [ms, sequences, count] = [readMs, 0, 0];
    for (const job of this.#waiting) {
      if (count > 0 && sequences + job.sequences > mostSequences) break;
      const room = mostMs - ms;
      if (job.ms > room && job.isPrompt && room > 0) {
        job.ms -= room;
        ms = mostMs;
        break;
      }
      if (job.ms > room && count > 0) break;
      ms += job.ms;
      sequences += job.sequences;
      count++;
    }
    return { ms, ended: this.#waiting.splice(0, count) };
  }
}
