/**
 * An engine's thread that may come and go. To the caller it is one port that is always there.
 *
 * - It sleeps: it ends when nobody has asked for a while, which gives its memory back, and starts
 *   again with the next request.
 * - It dies: of an exception, an exit, or a full heap. The requests that it knew end with an error
 *   that may be retried, since one of them may be what killed it. Then it starts again, after a
 *   while that grows. If it keeps dying, the engine is over (restart-limit.ts). A thread that
 *   cannot load its bundle again has died, too: disk or memory may be short for a moment only.
 *
 * Requests that come while there is no thread are held and passed on in order, so none is lost. The
 * client tells them to wait, as it does in any queue.
 *
 * Everything here happens in the caller's thread, one message at a time. So a request either comes
 * before the decision to sleep, and then there is none, or after it, and then it is held.
 */
import { isDeepStrictEqual } from 'node:util';
import { PlimsollError } from '#shared/api/errors.ts';
import type { EngineInfo, EngineState } from './engine.ts';
import {
  type ClientPort,
  endsRequest,
  type FromEngine,
  NOTHING_RAN,
  type ToEngine,
  toPlainError,
} from './engine-messages.ts';
import { type Limit, MOST_RESTARTS, RestartLimit } from './restart-limit.ts';

export type EngineThread = {
  port: ClientPort;
  /** Settles when the thread is gone, for whatever reason: with that reason, if there is one. */
  gone: Promise<unknown>;
};

export type SleepingOptions = {
  /** Starts a thread. It loads the same bundle each time, and says `ready` or `failed`. */
  start: () => EngineThread;
  /** How long nobody must have asked before the thread ends; null means that it never does. */
  idleMs: number | null;
  /** Writes to the log of whoever runs the engine. */
  warn: (message: string, cause?: unknown) => void;
  /** How long after its death a thread starts again; see restart-limit.ts. */
  restarts?: Limit;
};

/** `resting` is the time between a thread's death and its new start, `restarting` that start. */
type Phase = 'starting' | 'awake' | 'ending' | 'asleep' | 'resting' | 'restarting' | 'closing' | 'closed';

const STATES = {
  starting: 'loading',
  awake: 'loaded',
  ending: 'idle',
  asleep: 'idle',
  resting: 'restarting',
  restarting: 'restarting',
  closing: 'loaded',
  closed: 'idle',
} as const satisfies Record<Phase, EngineState>;

export class SleepingThread implements ClientPort {
  /**
   * Settles when no thread is there and none will come: after `close`, or because threads failed.
   */
  readonly closed: Promise<void>;
  readonly #options: SleepingOptions;
  readonly #limit: Limit;
  readonly #end: () => void;
  #thread: EngineThread;
  #phase: Phase = 'starting';
  #listener: (message: FromEngine) => void = () => {};
  /** The ids of requests that have neither ended nor been cancelled. */
  readonly #open = new Set<number>();
  /** What to tell the next thread. */
  #held: ToEngine[] = [];
  #info: EngineInfo | undefined;
  /** Until the thread sleeps, or starts again. There is never a reason to count both. */
  #timer: NodeJS.Timeout | undefined;
  #restarts = 0;
  /** Why the thread that was started last did not load. */
  #failure: string | undefined;

  constructor(options: SleepingOptions) {
    this.#options = options;
    this.#limit = options.restarts ?? new RestartLimit();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#end = resolve;
    this.#thread = this.#start('starting');
  }

  /** How many times a thread has been started because one died. */
  get restarts(): number {
    return this.#restarts;
  }

  get state(): EngineState {
    return STATES[this.#phase];
  }

  on(_event: 'message', listener: (message: FromEngine) => void): void {
    this.#listener = listener;
  }

  postMessage(message: ToEngine): void {
    if (message.type === 'submit') {
      this.#open.add(message.id);
      if (this.#phase === 'awake') clearTimeout(this.#timer);
    }
    if (message.type === 'cancel') this.#open.delete(message.id);
    if (message.type === 'close') {
      this.#close();
      return;
    }
    switch (this.#phase) {
      case 'awake':
        this.#thread.port.postMessage(message);
        this.#sleepSoon();
        return;
      case 'starting':
      case 'ending':
      case 'resting':
      case 'restarting':
        this.#held.push(message);
        return;
      case 'asleep':
        // A request that was cancelled has gone already.
        if (message.type !== 'submit') return;
        this.#held.push(message);
        this.#thread = this.#start('starting');
        return;
      default:
        // Nobody waits for an answer of an engine that was closed.
        return;
    }
  }

  #start(phase: 'starting' | 'restarting'): EngineThread {
    this.#phase = phase;
    this.#failure = undefined;
    const thread = this.#options.start();
    thread.port.on('message', (message) => this.#receive(message));
    void thread.gone.then((why) => this.#gone(why));
    return thread;
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'ready':
        this.#ready(message);
        return;
      case 'failed':
        // It ends by itself now.
        this.#failure = `it could not load: ${message.message}`;
        if (this.#info !== undefined) return;
        // Whoever starts an engine is told at once why it does not start.
        this.#phase = 'closing';
        this.#listener(message);
        return;
      case 'news':
        for (const outcome of message.outcomes) {
          if ('error' in outcome || endsRequest(outcome.events)) this.#open.delete(outcome.id);
        }
        this.#listener(message);
        this.#sleepSoon();
        return;
      default:
        message satisfies never;
    }
  }

  #ready(message: Extract<FromEngine, { type: 'ready' }>): void {
    if (this.#phase !== 'starting' && this.#phase !== 'restarting') return;
    const { info } = message;
    const before = this.#info;
    const changes = before === undefined ? [] : changesBetween(before, info);
    if (changes.length > 0) {
      // Prompts were encoded by the old tokenizer, and receipts would name the old weights.
      this.#options.warn(`the bundle changed while it was unloaded: ${changes.join('; ')}`);
      this.#close();
      return;
    }
    this.#phase = 'awake';
    this.#limit.began();
    this.#info = info;
    for (const held of this.#held.splice(0)) this.#thread.port.postMessage(held);
    if (before === undefined) this.#listener(message);
    this.#sleepSoon();
  }

  #gone(why: unknown): void {
    clearTimeout(this.#timer);
    if (this.#phase === 'closing' || this.#phase === 'closed' || this.#info === undefined) {
      this.#phase = 'closed';
      this.#end();
      return;
    }
    if (this.#phase !== 'ending') {
      this.#died(this.#failure ?? why);
      return;
    }
    this.#listener({ type: 'news', outcomes: [], queue: [], stats: NOTHING_RAN });
    this.#phase = 'asleep';
    const held = this.#held.splice(0);
    // If all of them have left again, nothing needs the memory.
    if (this.#open.size === 0) return;
    this.#held = held;
    this.#thread = this.#start('starting');
  }

  /** Fails the requests that the thread knew, and starts another one soon, unless too many died. */
  #died(why: unknown): void {
    const held = new Set(this.#held.flatMap((message) => (message.type === 'submit' ? [message.id] : [])));
    const failed = [...this.#open].filter((id) => !held.has(id));
    for (const id of failed) this.#open.delete(id);
    const waitMs = this.#limit.died();
    const next =
      waitMs === null
        ? `it died ${MOST_RESTARTS + 1} times in a row, so the engine stops`
        : `it starts again in ${waitMs / 1000} s`;
    const requests = `${failed.length} ${failed.length === 1 ? 'request ends' : 'requests end'} with it`;
    this.#options.warn(`the engine's thread died (${reason(why)}); ${requests}; ${next}`, stackOf(why));
    const error = toPlainError(
      new PlimsollError('backend_unavailable', 'The engine failed during this request. Please try again.'),
    );
    const outcomes = failed.map((id) => ({ id, error }));
    this.#listener({ type: 'news', outcomes, queue: [], stats: NOTHING_RAN });
    if (waitMs === null) {
      this.#phase = 'closed';
      this.#end();
      return;
    }
    this.#phase = 'resting';
    this.#timer = setTimeout(() => {
      this.#restarts++;
      this.#thread = this.#start('restarting');
    }, waitMs);
  }

  /** Begins to count, unless somebody still waits for something. */
  #sleepSoon(): void {
    if (this.#phase !== 'awake') return;
    clearTimeout(this.#timer);
    const { idleMs } = this.#options;
    if (idleMs === null || this.#open.size > 0) return;
    this.#timer = setTimeout(() => {
      this.#phase = 'ending';
      this.#thread.port.postMessage({ type: 'close' });
    }, idleMs);
    this.#timer.unref();
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#held = [];
    const before = this.#phase;
    if (before === 'closing' || before === 'closed') return;
    this.#phase = 'closing';
    if (before === 'asleep' || before === 'resting') {
      this.#phase = 'closed';
      this.#end();
    } else if (before !== 'ending') this.#thread.port.postMessage({ type: 'close' });
  }
}

const reason = (why: unknown) => (why instanceof Error ? why.message : String(why)).split('\n', 1)[0];
const stackOf = (why: unknown) => (why instanceof Error ? why.stack : undefined);

function changesBetween(before: EngineInfo, after: EngineInfo): string[] {
  // The cast is safe: the keys are the object's own.
  const keys = Object.keys(after) as (keyof EngineInfo)[];
  return keys
    .filter((key) => !isDeepStrictEqual(before[key], after[key]))
    .map((key) => `${key} is ${JSON.stringify(after[key])}, it was ${JSON.stringify(before[key])}`);
}
