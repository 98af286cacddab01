/**
 * Continuous batching: requests join and leave between runs, so none waits for another's end. A round is
 *
 *   1. let waiting requests join, by one prefill run that also gives each its first token;
 *   2. one decode run for everyone, one token each.
 *
 * First come, first served; a request that does not fit holds those behind it, so that a large one is not starved.
 * It is synchronous but for the runs themselves, and tells the outside only through `emit`.
 */

import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import { GateError } from '#shared/gate/index.ts';
import type { Mode } from '#shared/line/line.ts';
import { Answer, type AnswerOptions } from './answer.ts';
import type { EngineEvent, EngineLimits, EngineRequest, EngineStats } from './engine.ts';
import type { Experts, RowOutput } from './experts.ts';

/** What became of a request: its next events, or the error that ends it. */
export type Emit = (id: number, outcome: { events: EngineEvent[] } | { error: PlimsollError }) => void;

export type SchedulerOptions = AnswerOptions & {
  limits: EngineLimits;
  emit: Emit;
  /** The modes that the row model can answer in. */
  modes: readonly Mode[];
};

type Job = { id: number; answer: Answer };

export class Scheduler {
  readonly #rows: Experts;
  readonly #options: AnswerOptions;
  readonly #limits: EngineLimits;
  readonly #emit: Emit;
  readonly #modes: readonly Mode[];
  readonly #cancelled = new Set<number>();
  #waiting: Job[] = [];
  /** In the order of their rows in the batch. */
  #running: Job[] = [];

  constructor(rows: Experts, { limits, emit, modes, ...options }: SchedulerOptions) {
    this.#rows = rows;
    this.#options = options;
    this.#limits = limits;
    this.#emit = emit;
    this.#modes = modes;
  }

  get stats(): EngineStats {
    return { running: this.#running.length, waiting: this.#waiting.length, rows: this.#rows.rowCount };
  }

  /** Queues a request; a refusal is emitted like any other outcome, and costs no run. */
  submit(id: number, request: EngineRequest): void {
    const found = request.promptIds.length;
    if (found >= this.#options.contextLength) {
      this.#emit(id, { error: contextLengthExceeded(found, this.#options.contextLength) });
    } else if (!this.#modes.includes(request.line.mode)) {
      this.#emit(id, { error: modeUnavailable(request.line.mode) });
    } else if (this.#waiting.length >= this.#limits.maxWaiting) {
      const message = `The backend is busy: ${this.#waiting.length} requests are waiting. Try again later.`;
      this.#emit(id, { error: new PlimsollError('overloaded', message) });
    } else {
      this.#waiting.push({ id, answer: new Answer(request, this.#options) });
      this.#emit(id, { events: [{ type: 'start', prompt_tokens: found }] });
    }
  }

  /** The request leaves before the next run. Nothing is emitted for it any more. */
  cancel(id: number): void {
    const waiting = this.#waiting.filter((job) => job.id !== id);
    // Not waiting: it runs, or it is in the prefill under way and will.
    if (waiting.length === this.#waiting.length) this.#cancelled.add(id);
    this.#waiting = waiting;
  }

  /** Does one round. False if there was nothing to do. */
  async round(): Promise<boolean> {
    this.#removeFinished();
    const joining = this.#takeJoining();
    if (joining.length > 0) await this.#prefill(joining);
    if (this.#running.length === 0) return joining.length > 0;
    await this.#decode();
    return true;
  }

  /** Waiting requests that fit: the batch's rows, and one prefill's tokens (padded to the longest; the first always fits). */
  #takeJoining(): Job[] {
    let rows = this.#rows.rowCount;
    let prefillRows = 0;
    let longest = 0;
    let count = 0;
    for (const { answer } of this.#waiting) {
      const more = answer.rowCount;
      longest = Math.max(longest, answer.promptIds.length);
      rows += more;
      prefillRows += more;
      const tooManyTokens = count > 0 && prefillRows * longest > this.#limits.maxPrefillTokens;
      if (rows > this.#limits.maxRows || tooManyTokens) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #prefill(joining: Job[]): Promise<void> {
    const newRows = joining.flatMap(({ answer }) =>
      answer.sources().map((source) => ({ source, ids: answer.promptIds })),
    );
    try {
      const outputs = await this.#rows.add(newRows);
      this.#running.push(...joining);
      this.#draw(joining, outputs);
    } catch (thrown) {
      this.#fail(joining, thrown);
    }
    this.#removeFinished();
  }

  async #decode(): Promise<void> {
    const steps = this.#running.flatMap(({ answer }) =>
      answer.sources().map((source) => ({ source, id: answer.lastToken })),
    );
    try {
      const outputs = await this.#rows.advance(steps);
      this.#draw(this.#running, outputs);
    } catch (thrown) {
      const failed = this.#running;
      this.#running = [];
      this.#rows.keep([]);
      this.#fail(failed, thrown);
    }
    this.#removeFinished();
  }

  /** One token for each job, from what the jobs' rows say, in their order. */
  #draw(jobs: readonly Job[], outputs: readonly RowOutput[]): void {
    let row = 0;
    for (const { id, answer } of jobs) {
      const own = outputs.slice(row, row + answer.rowCount);
      row += answer.rowCount;
      // Cancelled while the run was under way: its rows go before the next one.
      if (this.#cancelled.has(id)) continue;
      try {
        this.#emit(id, { events: answer.draw(own) });
      } catch (thrown) {
        answer.ended = true;
        this.#emit(id, { error: fromDrawError(thrown) });
      }
    }
  }

  #fail(jobs: readonly Job[], thrown: unknown): void {
    const error = new PlimsollError('expert_failed', 'The model failed to run.', { cause: thrown });
    for (const { id } of jobs) this.#emit(id, { error });
  }

  /** Gives back the rows of answers that ended or were cancelled. */
  #removeFinished(): void {
    const kept: Job[] = [];
    const keptRows: number[] = [];
    let row = 0;
    for (const job of this.#running) {
      const rows = Array.from({ length: job.answer.rowCount }, (_, i) => row + i);
      row += rows.length;
      if (job.answer.ended || this.#cancelled.has(job.id)) continue;
      kept.push(job);
      keptRows.push(...rows);
    }
    this.#cancelled.clear();
    if (kept.length === this.#running.length) return;
    this.#running = kept;
    this.#rows.keep(keptRows);
  }
}

function fromDrawError(thrown: unknown): PlimsollError {
  if (!(thrown instanceof GateError && thrown.code === 'safety_row_unusable')) return toPlimsollError(thrown);
  return new PlimsollError('expert_failed', 'The safety expert gave no usable prediction, so the answer was stopped.', {
    cause: thrown,
  });
}
