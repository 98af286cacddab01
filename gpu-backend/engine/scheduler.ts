/**
 * Continuous batching: requests join and leave between runs, so none waits for another to end. Each
 * round
 *
 *   1. lets waiting requests join;
 *   2. makes one run: either a chunk of the prompts that are being read, or one token for every
 *      answer under way. Where there are both, they take turns. An answer that repeats itself may
 *      get more tokens from a run: see draft-planner.ts.
 *
 * How large a chunk is depends on who waits for it: see prefill-pace.ts. Beside running answers it
 * aims at 1.4 times as long as their run takes. The last chunk of a prompt also gives its request
 * the first token.
 *
 * Fairness between tenants, in three places:
 *
 * - fair-queue.ts decides who joins next, by the tokens that requests may come to. A request that
 *   does not fit (admission.ts) holds up those behind it, so a large one does not starve. A tenant
 *   whose prompts in the batch fill the next chunk lets others go first, so that long prompts do
 *   not take all rows before they are read.
 * - fair-work.ts decides whose prompts a chunk reads: those of the tenant for which the fewest
 *   tokens have been fed, prompts and answers together.
 * - Every answer under way gets at least one token in each decode run, whoever it belongs to.
 *   Prompts delay that by one chunk, no matter how many there are.
 *
 * The scheduler knows the experts only through their contract. It is synchronous except for their
 * steps, and reports outcomes only through `emit`.
 */

import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import { GateError, type GateErrorCode } from '#shared/gate/index.ts';
import { lackFor } from './admission.ts';
import type { AnswerOptions } from './answer.ts';
import { checkRequest, type Terms, termsOf } from './check-request.ts';
import { Choices } from './choices.ts';
import { DraftPlanner } from './draft-planner.ts';
import type { EngineEvent, EngineLimits, EngineRequest, EngineStats, TakenToken } from './engine.ts';
import { ExpertDrafts } from './expert-drafts.ts';
import type { Experts, Output } from './experts.ts';
import { FairQueue } from './fair-queue.ts';
import { FairWork } from './fair-work.ts';
import { type Fed, feedJobs } from './feed-jobs.ts';
import type { Job, Warn } from './job.ts';
import { jobsOf } from './jobs-of.ts';
import { planChunk } from './plan-chunk.ts';
import { PrefillPace } from './prefill-pace.ts';
import { RoundDrafts } from './round-drafts.ts';
import { createMaskOf } from './token-mask.ts';

/** Reports a request's next events, or the error that ends it. */
export type Emit = (id: number, outcome: { events: EngineEvent[] } | { error: PlimsollError }) => void;

export type SchedulerOptions = Omit<AnswerOptions, 'topK' | 'memory'> & {
  limits: Omit<EngineLimits, 'maxWaiting'>;
  emit: Emit;
  /**
   * Called when requests have joined, just before the run that reads their prompts. That run may
   * take long, so their clients should be told now that they have started.
   */
  onJoined?: () => void;
  /** Gets what clients do not see: that an answer has to go on without an expert. */
  warn?: Warn;
  /** Decides about drafts, if the limits allow them. */
  drafts?: DraftPlanner;
  /**
   * Decides about drafts that experts make themselves, if the limits and the experts allow them.
   */
  expertDrafts?: ExpertDrafts;
  /** @returns milliseconds */
  now?: () => number;
};

export class Scheduler {
  readonly #experts: Experts;
  readonly #options: AnswerOptions;
  readonly #limits: Omit<EngineLimits, 'maxWaiting'>;
  readonly #emit: Emit;
  readonly #onJoined: () => void;
  readonly #warn: Warn;
  readonly #now: () => number;
  readonly #terms: Terms;
  readonly #waiting = new FairQueue<Job>(QUANTUM_TOKENS);
  /** The answers in the batch, in the order they joined. */
  readonly #running = new Set<Job>();
  /** Every request that is not over, by id. */
  readonly #requests = new Map<number, Choices>();
  /** What was drawn elsewhere since the last round. */
  readonly #taken: { id: number; taken: TakenToken }[] = [];
  readonly #work = new FairWork();
  readonly #pace = new PrefillPace();
  readonly #drafts: RoundDrafts | null;
  /** How many requests have had to wait for memory. */
  #memoryWaits = 0;
  /** Whether the last run was a chunk, so that the answers under way have the next turn. */
  #hasRead = false;

  /** Throws if the proposal needs hidden states but the experts have none. */
  constructor(
    experts: Experts,
    {
      limits,
      emit,
      onJoined = () => {},
      warn = () => {},
      drafts = new DraftPlanner({ mostAhead: experts.abilities.draft || undefined }),
      expertDrafts = new ExpertDrafts(experts.abilities.draft),
      now = () => performance.now(),
      ...options
    }: SchedulerOptions,
  ) {
    if (typeof options.proposal === 'function' && !experts.abilities.hidden) {
      throw new Error('a logits router needs experts that give hidden states');
    }
    this.#experts = experts;
    this.#limits = limits;
    this.#emit = emit;
    this.#onJoined = onJoined;
    this.#warn = warn;
    this.#now = now;
    const { score, draft } = experts.abilities;
    this.#drafts = limits.speculation && score ? new RoundDrafts(drafts, draft > 0 ? expertDrafts : null) : null;
    this.#terms = termsOf(experts, { ...options, limits });
    const { topK, memory, vocabSize } = this.#terms;
    const maskOf = options.maskOf ?? createMaskOf(options.vocabulary, { size: vocabSize });
    this.#options = { ...options, topK, memory, maskOf };
  }

  get stats(): EngineStats {
    const running = new Set([...this.#running].map(({ id }) => id));
    const { openCount: rows, prefixStats: prefixes } = this.#experts;
    return { running: running.size, waiting: this.#waiting.size, rows, prefixes, memoryWaits: this.#memoryWaits };
  }

  /** The ids of the waiting requests, in the order they will join. */
  get queue(): number[] {
    return [...new Set(this.#waiting.order().map(({ id }) => id))];
  }

  /** Queues a request. A refusal is emitted like any other outcome and costs no run. */
  submit(id: number, request: EngineRequest): void {
    try {
      checkRequest(request, this.#terms);
      const jobs = jobsOf(id, request, {
        experts: this.#experts,
        answers: this.#options,
        maxRows: this.#limits.maxRows,
        warn: this.#warn,
      });
      this.#requests.set(id, new Choices(1 + (request.moreKeys?.length ?? 0)));
      for (const job of jobs) this.#waiting.push(job, { tenant: job.tenant, cost: job.cost });
    } catch (thrown) {
      this.#emit(id, { error: toPlimsollError(thrown) });
    }
  }

  /**
   * Removes the request at once, even if a step of it is under way. Nothing more is emitted for it.
   */
  cancel(id: number): void {
    this.#requests.delete(id);
    this.#waiting.remove((job) => job.id === id);
    for (const job of this.#running) if (job.id === id) this.#leave(job);
  }

  /** What was drawn at a position, for a request that asks for rows. */
  take(id: number, taken: TakenToken): void {
    this.#taken.push({ id, taken });
  }

  /** Does one round. Returns false if there was nothing to do. */
  async round(): Promise<boolean> {
    this.#hearTaken();
    const joined = this.#join();
    if (joined) this.#onJoined();
    const jobs = [...this.#running];
    const reading = jobs.filter(({ unread }) => unread > 0);
    const answering = jobs.filter(({ unread, answer }) => unread === 0 && !answer.pauses);
    this.#work.present(jobs.map(({ tenant }) => tenant));
    if (reading.length > 0 && (answering.length === 0 || !this.#hasRead)) {
      await this.#read(reading);
    } else if (answering.length > 0) {
      await this.#decode(answering);
    } else return joined;
    return true;
  }

  /** Between two runs, because a sequence with a step under way cannot be cut. */
  #hearTaken(): void {
    for (const { id, taken } of this.#taken.splice(0)) {
      const job = [...this.#running].find((one) => one.id === id);
      if (job === undefined) continue;
      try {
        job.take(taken);
      } catch (thrown) {
        this.#fail(job, toPlimsollError(thrown));
      }
    }
  }

  /** Lets in the waiting requests that may join and fit. */
  #join(): boolean {
    const unread = new Map<string, number>();
    for (const { tenant, rows, unread: tokens } of this.#running) {
      unread.set(tenant, (unread.get(tenant) ?? 0) + rows * tokens);
    }
    const most = this.#chunkTokens;
    const mayJoin = (tenant: string) => (unread.get(tenant) ?? 0) < most;
    let joined = false;
    for (let job = this.#waiting.peek(mayJoin); job !== undefined; job = this.#waiting.peek(mayJoin)) {
      const lack = lackFor(job, this.#running, { experts: this.#experts, limits: this.#limits });
      if (lack === 'memory' && this.#requests.get(job.id)?.noteMemoryWait()) this.#memoryWaits++;
      if (lack !== null) break;
      this.#waiting.take(mayJoin);
      if (!this.#open(job)) continue;
      unread.set(job.tenant, (unread.get(job.tenant) ?? 0) + job.rows * job.unread);
      joined = true;
    }
    return joined;
  }

  /** How many tokens the next chunk may have, padding included. */
  get #chunkTokens(): number {
    const most = this.#limits.maxPrefillTokens;
    const someAnswer = [...this.#running].some(({ unread }) => unread === 0);
    return someAnswer ? Math.min(most, this.#pace.tokens) : most;
  }

  #open(job: Job): boolean {
    const choices = this.#requests.get(job.id);
    if (!choices) return false;
    const { answer } = job;
    try {
      if (!answer.isOver) job.open();
      job.toldAt = this.#now();
      this.#running.add(job);
      if (choices.start()) {
        const { promptIds, textBefore } = answer;
        const before = textBefore !== null && { text: textBefore };
        this.#emit(job.id, { events: [{ type: 'start', prompt_tokens: promptIds.length, ...before }] });
      }
      if (answer.isOver) this.#tell(job, answer.finish());
      return true;
    } catch (thrown) {
      this.#fail(job, new PlimsollError('expert_failed', 'The model failed to run.', { cause: thrown }));
      return false;
    }
  }

  /** Reads one chunk. A request that has read all of its prompt gets its first token. */
  async #read(reading: readonly Job[]): Promise<void> {
    const somebodyWaits = reading.length < this.#running.size;
    const { readings, width } = planChunk(reading, { tokens: this.#chunkTokens, work: this.#work });
    const fed = readings.map((job) => ({ job, feed: job.next(width) }));
    const lengths = fed.flatMap(({ feed }) => Object.values(feed.rows).map(({ length }) => length));
    const tokens = lengths.length * Math.max(...lengths);
    const { ms } = await this.#feed(fed);
    if (somebodyWaits) this.#pace.readBeside({ tokens, ms });
    else this.#pace.readAlone({ tokens, ms });
    this.#hasRead = true;
    for (const job of readings) this.#tellReading(job);
  }

  /** Now and then, tells how far a prompt is that has not been read to its end. */
  #tellReading(job: Job): void {
    if (!this.#runs(job) || job.unread === 0) return;
    const now = this.#now();
    if (now - job.toldAt < READING_EVERY_MS) return;
    job.toldAt = now;
    this.#emit(job.id, { events: [{ type: 'reading', read: job.toRead - job.unread, of: job.toRead }] });
  }

  /** Feeds each answer its last token, and a draft where that pays, and draws what comes next. */
  async #decode(answering: readonly Job[]): Promise<void> {
    // Who tells rows is told what was drawn, and has nothing to guess from.
    const drawing = answering.filter(({ answer }) => !answer.tellsRows);
    const began = this.#now();
    const drafts = await this.#drafts?.plan(drawing, answering.length);
    const asking = this.#now() - began;
    // Some may have been cancelled while an expert was guessing.
    const still = answering.filter((job) => this.#runs(job));
    if (still.length === 0) return;
    const rows = sum(still.map((job) => job.rows));
    const longest = Math.max(0, ...still.map((job) => drafts?.get(job)?.length ?? 0));
    const fed = still.map((job) => ({ job, feed: job.next(Infinity, drafts?.get(job)) }));
    const { ms, runMs } = await this.#feed(fed);
    if (runMs !== null) this.#drafts?.learnCost({ rows, longest, asking, ran: runMs });
    this.#pace.decoded(asking + ms);
    this.#hasRead = false;
  }

  #feed(fed: readonly Fed[]): Promise<{ ms: number; runMs: number | null }> {
    return feedJobs(fed, {
      experts: this.#experts,
      work: this.#work,
      goOn: (one, results) => this.#goOn(one, results),
      runs: (job) => this.#runs(job),
      now: this.#now,
    });
  }

  #goOn({ job, feed }: Fed, results: readonly PromiseSettledResult<Output>[]): void {
    // If it was cancelled in the meantime, there is nobody to tell.
    if (!this.#runs(job)) return;
    try {
      job.look(feed, results);
      // Once the prompt has been read, those who share it draw from the same outputs.
      const followers = job.unread === 0 ? job.fork() : [];
      for (const follower of followers) this.#running.add(follower);
      for (const one of [job, ...followers]) {
        const events = one.goOn(feed, results);
        this.#drafts?.learn(one, feed.draft ?? [], { events, results });
        this.#tell(one, this.#drafts?.count(one, events) ?? events);
      }
    } catch (thrown) {
      this.#fail(job, fromDrawError(thrown));
    }
  }

  #tell(job: Job, events: readonly EngineEvent[]): void {
    const choices = this.#requests.get(job.id)!;
    const counted = choices.count(events);
    if (job.answer.ended) this.#leave(job);
    if (choices.areOver) this.#requests.delete(job.id);
    if (counted.length > 0) this.#emit(job.id, { events: counted });
  }

  /** Ends a request with an error. All of its answers end, because a client cannot do with some. */
  #fail({ id }: Job, error: PlimsollError): void {
    this.cancel(id);
    this.#emit(id, { error });
  }

  #runs(job: Job): boolean {
    return this.#running.has(job);
  }

  #leave(job: Job): void {
    job.close();
    this.#running.delete(job);
  }
}

/** Often enough that nobody takes a long prompt for a backend that hangs. */
const READING_EVERY_MS = 2000;

/** Smaller than any request, so that tenants take turns as often as possible. */
const QUANTUM_TOKENS = 16;

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

function fromDrawError(thrown: unknown): PlimsollError {
  const which = thrown instanceof GateError && UNUSABLE[thrown.code];
  if (!which) return toPlimsollError(thrown);
  return new PlimsollError(
    'expert_failed',
    `The ${which} expert gave no usable prediction, so the answer was stopped.`,
    {
      cause: thrown,
    },
  );
}

const UNUSABLE: Partial<Record<GateErrorCode, string>> = {
  safety_row_unusable: 'safety',
  helpful_row_unusable: 'helpfulness',
};
