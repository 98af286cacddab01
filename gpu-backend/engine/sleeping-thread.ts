/**
 * An engine's thread that may sleep: it ends when nobody has asked for a while, which gives its
 * memory back, and starts again with the next request. To the caller it is one port that is always
 * there. Requests that come while the thread ends or starts are held and passed on in order, so
 * none is lost. The client tells them to wait, as it does in any queue.
 *
 * Everything here happens in the caller's thread, one message at a time. So a request either comes
 * before the decision to sleep, and then there is none, or after it, and then it is held.
 */
import { isDeepStrictEqual } from 'node:util';
import type { EngineInfo, EngineState } from './engine.ts';
import { type ClientPort, endsRequest, type FromEngine, type ToEngine } from './engine-messages.ts';
import { NO_PREFIXES } from './experts.ts';

export type EngineThread = {
  port: ClientPort;
  /** Settles when the thread is gone, for whatever reason. */
  gone: Promise<void>;
};

export type SleepingOptions = {
  /** Starts a thread. It loads the same bundle each time, and says `ready` or `failed`. */
  start: () => EngineThread;
  /** How long nobody must have asked before the thread ends; null means that it never does. */
  idleMs: number | null;
  /** Writes to the log of whoever runs the engine. */
  warn: (message: string) => void;
};

type Phase = 'starting' | 'awake' | 'ending' | 'asleep' | 'closing' | 'closed';

const STATES = {
  starting: 'loading',
  awake: 'loaded',
  ending: 'idle',
  asleep: 'idle',
  closing: 'loaded',
  closed: 'idle',
} as const satisfies Record<Phase, EngineState>;

export class SleepingThread implements ClientPort {
  /** Settles when no thread is there and none will come: after `close`, or because one failed. */
  readonly closed: Promise<void>;
  readonly #options: SleepingOptions;
  readonly #end: () => void;
  #thread: EngineThread;
  #phase: Phase = 'starting';
  #listener: (message: FromEngine) => void = () => {};
  /** The ids of requests that have neither ended nor been cancelled. */
  readonly #open = new Set<number>();
  /** What to tell the next thread. */
  #held: ToEngine[] = [];
  #info: EngineInfo | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SleepingOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#end = resolve;
    this.#thread = this.#start();
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
      clearTimeout(this.#timer);
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
        this.#held.push(message);
        return;
      case 'asleep':
        // A request that was cancelled has gone already.
        if (message.type !== 'submit') return;
        this.#held.push(message);
        this.#thread = this.#start();
        return;
      default:
        // Nobody waits for an answer of an engine that was closed.
        return;
    }
  }

  #start(): EngineThread {
    this.#phase = 'starting';
    const thread = this.#options.start();
    thread.port.on('message', (message) => this.#receive(message));
    void thread.gone.then(() => this.#gone());
    return thread;
  }

  #receive(message: FromEngine): void {
    switch (message.type) {
      case 'ready':
        this.#ready(message);
        return;
      case 'failed':
        // The caller of the first start gets the error. Later there is only the log.
        if (this.#info === undefined) this.#listener(message);
        else this.#options.warn(`the engine could not be loaded again: ${message.message}`);
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
    if (this.#phase !== 'starting') return;
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
    this.#info = info;
    for (const held of this.#held.splice(0)) this.#thread.port.postMessage(held);
    if (before === undefined) this.#listener(message);
    this.#sleepSoon();
  }

  #gone(): void {
    clearTimeout(this.#timer);
    if (this.#phase !== 'ending') {
      this.#phase = 'closed';
      this.#end();
      return;
    }
    this.#listener({ type: 'news', outcomes: [], queue: [], stats: { running: 0, rows: 0, prefixes: NO_PREFIXES } });
    this.#phase = 'asleep';
    const held = this.#held.splice(0);
    // If all of them have left again, nothing needs the memory.
    if (this.#open.size === 0) return;
    this.#held = held;
    this.#thread = this.#start();
  }

  /** Begins to count, unless somebody still waits for something. */
  #sleepSoon(): void {
    clearTimeout(this.#timer);
    const { idleMs } = this.#options;
    if (idleMs === null || this.#open.size > 0 || this.#phase !== 'awake') return;
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
    if (before === 'asleep') {
      this.#phase = 'closed';
      this.#end();
    } else if (before !== 'ending') this.#thread.port.postMessage({ type: 'close' });
  }
}

function changesBetween(before: EngineInfo, after: EngineInfo): string[] {
  // The cast is safe: the keys are the object's own.
  const keys = Object.keys(after) as (keyof EngineInfo)[];
  return keys
    .filter((key) => !isDeepStrictEqual(before[key], after[key]))
    .map((key) => `${key} is ${JSON.stringify(after[key])}, it was ${JSON.stringify(before[key])}`);
}
