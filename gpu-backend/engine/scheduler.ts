/**
 * Continuous batching: requests join and leave between runs, so none waits for another to end. Each
 * round
 *
 *   1. lets waiting requests join, with one prefill run that also gives each its first token;
 *   2. makes one decode run for everyone, with one token each.
 *
 * fair-queue.ts decides who joins next, fairly between tenants. A request that does not fit holds
 * up those behind it, so a large one does not starve. The scheduler knows the experts only through
 * their contract. It is synchronous except for their steps, and reports outcomes only through
 * `emit`.
 */

import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import { GateError } from '#shared/gate/index.ts';
import { Answer, type AnswerOptions, type Feed } from './answer.ts';
import { checkRequest, type Terms, termsOf } from './check-request.ts';
import type { EngineEvent, EngineLimits, EngineRequest, EngineStats } from './engine.ts';
import type { Experts, Output } from './experts.ts';
import { FairQueue } from './fair-queue.ts';
import { Job, type Warn } from './job.ts';

/** Reports a request's next events, or the error that ends it. */
export type Emit = (id: number, outcome: { events: EngineEvent[] } | { error: PlimsollError }) => void;

export type SchedulerOptions = AnswerOptions & {
  limits: Omit<EngineLimits, 'maxWaiting'>;
  emit: Emit;
  /**
   * Called when requests have joined, just before the run that reads their prompts. That run may
   * take long, so their clients should be told now that they have started.
   */
  onJoined?: () => void;
  /** Gets what clients do not see: that an answer has to go on without an expert. */
  warn?: Warn;
};

export class Scheduler {
  readonly #experts: Experts;
  readonly #options: AnswerOptions;
  readonly #limits: Omit<EngineLimits, 'maxWaiting'>;
  readonly #emit: Emit;
  readonly #onJoined: () => void;
  readonly #warn: Warn;
  readonly #terms: Terms;
  readonly #waiting = new FairQueue<Job>(QUANTUM_TOKENS);
  /** The answers in the batch, by id, in the order they joined. */
  readonly #running = new Map<number, Job>();

  /** Throws if the proposal needs hidden states but the experts have none. */
  constructor(experts: Experts, { limits, emit, onJoined = () => {}, warn = () => {}, ...options }: SchedulerOptions) {
    if (typeof options.proposal === 'function' && !experts.abilities.hidden) {
      throw new Error('a logits router needs experts that give hidden states');
    }
    this.#experts = experts;
    this.#options = options;
    this.#limits = limits;
    this.#emit = emit;
    this.#onJoined = onJoined;
    this.#warn = warn;
    this.#terms = termsOf(experts, options.contextLength);
  }

  get stats(): EngineStats {
    return { running: this.#running.size, waiting: this.#waiting.size, rows: this.#experts.openCount };
  }

  /** The ids of the waiting requests, in the order they will join. */
  get queue(): number[] {
    return this.#waiting.order().map(({ id }) => id);
  }

  /** Queues a request. A refusal is emitted like any other outcome and costs no run. */
  submit(id: number, request: EngineRequest): void {
    try {
      checkRequest(request, this.#terms);
      const answer = new Answer(request, this.#options);
      const job = new Job(id, answer, { experts: this.#experts, warn: this.#warn });
      this.#waiting.push(job, { tenant: request.tenant ?? '', cost: answer.most });
    } catch (thrown) {
      this.#emit(id, { error: toPlimsollError(thrown) });
    }
  }

  /**
   * Removes the request at once, even if a step of it is under way. Nothing more is emitted for it.
   */
  cancel(id: number): void {
    this.#waiting.remove((job) => job.id === id);
    const job = this.#running.get(id);
    if (job) this.#leave(job);
  }

  /** Does one round. Returns false if there was nothing to do. */
  async round(): Promise<boolean> {
    const joined = this.#join();
    if (joined.length > 0) {
      this.#onJoined();
      await this.#prefill(joined);
    }
    if (this.#running.size === 0) return joined.length > 0;
    await this.#decode();
    return true;
  }

  /**
   * Lets in the waiting requests that fit into the batch's rows and into one prefill's tokens
   * (padded to the longest row). The token limit never keeps the first one out.
   */
  #join(): Job[] {
    let rows = this.#experts.openCount;
    let prefillRows = 0;
    let longest = 0;
    const taken: Job[] = [];
    for (let job = this.#waiting.peek(); job !== undefined; job = this.#waiting.peek()) {
      const { sources, length } = job.answer;
      const more = sources.length;
      longest = Math.max(longest, length);
      rows += more;
      prefillRows += more;
      const tooManyTokens = taken.length > 0 && prefillRows * longest > this.#limits.maxPrefillTokens;
      if (rows > this.#limits.maxRows || tooManyTokens) break;
      this.#waiting.take();
      taken.push(job);
    }
    return taken.filter((job) => this.#open(job));
  }

  #open(job: Job): boolean {
    try {
      job.open();
      this.#running.set(job.id, job);
      this.#emit(job.id, { events: [{ type: 'start', prompt_tokens: job.answer.promptIds.length }] });
      return true;
    } catch (thrown) {
      this.#emit(job.id, { error: new PlimsollError('expert_failed', 'The model failed to run.', { cause: thrown }) });
      return false;
    }
  }

  /** Feeds each request its whole history and draws its next token. */
  async #prefill(joined: readonly Job[]): Promise<void> {
    const fed = joined.map((job) => ({ job, feeds: job.answer.history() }));
    const begun = fed.flatMap(({ job, feeds }) => feeds.slice(0, -1).map((feed) => ({ job, feed })));
    if (begun.length > 0) await this.#feed(begun, (job, results) => void job.take(results));
    const rest = fed.filter(({ job }) => this.#runs(job)).map(({ job, feeds }) => ({ job, feed: feeds.at(-1)! }));
    await this.#feed(rest, (job, results) => this.#draw(job, results));
  }

  /** Feeds each request its last token and draws the next. */
  async #decode(): Promise<void> {
    const fed = [...this.#running.values()].map((job) => ({ job, feed: job.answer.next() }));
    await this.#feed(fed, (job, results) => this.#draw(job, results));
  }

  /**
   * Feeds all these requests together, and continues each one as soon as its own steps have
   * settled. A request that cannot go on fails alone.
   */
  async #feed(
    fed: readonly { job: Job; feed: Feed }[],
    goOn: (job: Job, results: PromiseSettledResult<Output>[]) => void,
  ): Promise<void> {
    const steps = fed.map(({ job, feed }) => job.steps(feed));
    const outputs = this.#experts.append(steps.flat());
    const own = steps.map(({ length }) => outputs.splice(0, length));
    const settle = async ({ job }: { job: Job }, i: number) => {
      const results = await Promise.allSettled(own[i]!);
      // If it was cancelled in the meantime, there is nobody to tell.
      if (!this.#runs(job)) return;
      try {
        goOn(job, results);
      } catch (thrown) {
        this.#leave(job);
        this.#emit(job.id, { error: fromDrawError(thrown) });
      }
    };
    await Promise.all(fed.map(settle));
  }

  #draw(job: Job, results: PromiseSettledResult<Output>[]): void {
    const events = job.draw(results);
    if (job.answer.ended) this.#leave(job);
    this.#emit(job.id, { events });
  }

  #runs(job: Job): boolean {
    return this.#running.get(job.id) === job;
  }

  #leave(job: Job): void {
    job.close();
    this.#running.delete(job.id);
  }
}

/** Smaller than any request, so that tenants take turns as often as possible. */
const QUANTUM_TOKENS = 16;

function fromDrawError(thrown: unknown): PlimsollError {
  if (!(thrown instanceof GateError && thrown.code === 'safety_row_unusable')) return toPlimsollError(thrown);
  return new PlimsollError('expert_failed', 'The safety expert gave no usable prediction, so the answer was stopped.', {
    cause: thrown,
  });
}
