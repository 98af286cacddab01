/**
 * Continuous batching: requests join and leave between runs, so none waits for another's end. A
 * round is
 *
 *   1. let waiting requests join, by one prefill run that also gives each its first token;
 *   2. one decode run for everyone, one token each.
 *
 * First come, first served; a request that does not fit holds those behind it, so that a large one
 * is not starved. It knows the experts by their contract alone, is synchronous but for their steps,
 * and tells the outside only through `emit`.
 */

import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import { GateError } from '#shared/gate/index.ts';
import { Answer, type AnswerOptions, type Feed, sourcesOf } from './answer.ts';
import type { EngineEvent, EngineLimits, EngineRequest, EngineStats } from './engine.ts';
import type { Experts, Output, Source } from './experts.ts';
import { Job, type Warn } from './job.ts';

/** What became of a request: its next events, or the error that ends it. */
export type Emit = (id: number, outcome: { events: EngineEvent[] } | { error: PlimsollError }) => void;

export type SchedulerOptions = AnswerOptions & {
  limits: EngineLimits;
  emit: Emit;
  /** Hears of what clients do not: an expert that an answer has to go on without. */
  warn?: Warn;
};

export class Scheduler {
  readonly #experts: Experts;
  readonly #options: AnswerOptions;
  readonly #limits: EngineLimits;
  readonly #emit: Emit;
  readonly #warn: Warn;
  #waiting: Job[] = [];
  /** By id, in the order they came. */
  readonly #running = new Map<number, Job>();

  /** Throws where the weights are proposed from hidden states and the experts have none. */
  constructor(experts: Experts, { limits, emit, warn = () => {}, ...options }: SchedulerOptions) {
    if (typeof options.proposal === 'function' && !experts.abilities.hidden) {
      throw new Error('a logits router needs experts that give hidden states');
    }
    this.#experts = experts;
    this.#options = options;
    this.#limits = limits;
    this.#emit = emit;
    this.#warn = warn;
  }

  get stats(): EngineStats {
    return { running: this.#running.size, waiting: this.#waiting.length, rows: this.#experts.openCount };
  }

  /** Queues a request; a refusal is emitted like any other outcome, and costs no run. */
  submit(id: number, request: EngineRequest): void {
    try {
      const answer = this.#admit(request);
      this.#waiting.push(new Job(id, answer, { experts: this.#experts, warn: this.#warn }));
      this.#emit(id, { events: [{ type: 'start', prompt_tokens: request.promptIds.length }] });
    } catch (thrown) {
      this.#emit(id, { error: toPlimsollError(thrown) });
    }
  }

  /**
   * The request leaves at once, whatever is under way for it. Nothing is emitted for it any more.
   */
  cancel(id: number): void {
    this.#waiting = this.#waiting.filter((job) => job.id !== id);
    const job = this.#running.get(id);
    if (job) this.#leave(job);
  }

  /** Does one round. False if there was nothing to do. */
  async round(): Promise<boolean> {
    const joined = this.#join();
    if (joined.length > 0) await this.#prefill(joined);
    if (this.#running.size === 0) return joined.length > 0;
    await this.#decode();
    return true;
  }

  #admit(request: EngineRequest): Answer {
    const { promptIds, line } = request;
    if (line.mode === 'layers' && !this.#experts.abilities.layers) throw modeUnavailable(line.mode);
    // The longest row has to fit, and with it the tokens that its expert has of its own.
    const contextLength = this.#options.contextLength - this.#longestPrefix(sourcesOf(line));
    if (promptIds.length >= contextLength) throw contextLengthExceeded(promptIds.length, contextLength);
    if (this.#waiting.length >= this.#limits.maxWaiting) {
      const message = `The backend is busy: ${this.#waiting.length} requests are waiting. Try again later.`;
      throw new PlimsollError('overloaded', message);
    }
    return new Answer(request, { ...this.#options, contextLength });
  }

  /**
   * Lets in the waiting requests that fit: the batch's rows, and one prefill's tokens (padded to
   * the longest; the first always fits).
   */
  #join(): Job[] {
    let rows = this.#experts.openCount;
    let prefillRows = 0;
    let longest = 0;
    let count = 0;
    for (const { answer } of this.#waiting) {
      const more = answer.sources.length;
      longest = Math.max(longest, answer.length + this.#longestPrefix(answer.sources));
      rows += more;
      prefillRows += more;
      const tooManyTokens = count > 0 && prefillRows * longest > this.#limits.maxPrefillTokens;
      if (rows > this.#limits.maxRows || tooManyTokens) break;
      count++;
    }
    return this.#waiting.splice(0, count).filter((job) => this.#open(job));
  }

  #open(job: Job): boolean {
    try {
      job.open();
      this.#running.set(job.id, job);
      return true;
    } catch (thrown) {
      this.#emit(job.id, { error: new PlimsollError('expert_failed', 'The model failed to run.', { cause: thrown }) });
      return false;
    }
  }

  /** Everything so far for each, and a token from it. */
  async #prefill(joined: readonly Job[]): Promise<void> {
    const fed = joined.map((job) => ({ job, feeds: job.answer.history() }));
    const begun = fed.flatMap(({ job, feeds }) => feeds.slice(0, -1).map((feed) => ({ job, feed })));
    if (begun.length > 0) await this.#feed(begun, (job, results) => void job.take(results));
    const rest = fed.filter(({ job }) => this.#runs(job)).map(({ job, feeds }) => ({ job, feed: feeds.at(-1)! }));
    await this.#feed(rest, (job, results) => this.#draw(job, results));
  }

  /** The last token for each, and one more from it. */
  async #decode(): Promise<void> {
    const fed = [...this.#running.values()].map((job) => ({ job, feed: job.answer.next() }));
    await this.#feed(fed, (job, results) => this.#draw(job, results));
  }

  /**
   * Feeds all of them together and lets each go on as soon as its own steps have settled; one that
   * cannot, fails alone.
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
      // Cancelled meanwhile: there is nobody to tell.
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

  #longestPrefix(sources: readonly Source[]): number {
    return Math.max(...sources.map((source) => this.#experts.prefixLength(source)));
  }
}

function fromDrawError(thrown: unknown): PlimsollError {
  if (!(thrown instanceof GateError && thrown.code === 'safety_row_unusable')) return toPlimsollError(thrown);
  return new PlimsollError('expert_failed', 'The safety expert gave no usable prediction, so the answer was stopped.', {
    cause: thrown,
  });
}
