/**
 * The caller's side of a port: an `Engine` whose work is done elsewhere. It responds at once, even
 * while a run blocks the engine's thread: it refuses requests that cannot be met, and tells waiting
 * requests how many are ahead.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { checkRequest } from './check-request.ts';
import {
  DEFAULT_LIMITS,
  type Engine,
  type EngineEvent,
  type EngineInfo,
  type EngineRequest,
  type EngineState,
  type EngineStats,
  type Takes,
} from './engine.ts';
import {
  type ClientPort,
  endsRequest,
  type FromEngine,
  fromPlainError,
  NOTHING_RAN,
  type Outcome,
  type ThreadStats,
  type ToEngine,
} from './engine-messages.ts';
import { EventQueue } from './event-queue.ts';
import { WaitingRoom } from './waiting-room.ts';

export type ClientOptions = {
  maxWaiting?: number;
  /** The time between two `waiting` events of one request. */
  waitingEveryMs?: number;
  /** What is known of the other side, if it may come and go. */
  thread?: { readonly state: EngineState; readonly restarts: number };
};

type Asked = { tenant: string; events: EventQueue<EngineEvent>; isWaiting: boolean; heartbeat?: NodeJS.Timeout };

/** Stands for requests without a tenant. No tenant has an empty name. */
const NOBODY = '';
/** Well below any silence timeout on the way to the client. */
const WAITING_EVERY_MS = 3000;
/** Sooner than anything on the way to the client would try another backend. */
const SOON_MS = 200;

export class EngineClient implements Engine {
  readonly info: EngineInfo;
  readonly closed: Promise<void>;
  readonly #port: ClientPort;
  readonly #room: WaitingRoom;
  readonly #waitingEveryMs: number;
  readonly #thread: NonNullable<ClientOptions['thread']>;
  /** Open requests by id, in order of arrival. */
  readonly #asked = new Map<number, Asked>();
  /** The ids of the waiting requests that the engine has seen, in the order they will join. */
  #queue: readonly number[] = [];
  #stats: ThreadStats = NOTHING_RAN;
  #nextId = 1;
  #alive = true;

  private constructor(port: ClientPort, info: EngineInfo, closed: Promise<void>, options: ClientOptions) {
    this.#port = port;
    this.info = info;
    this.closed = closed;
    this.#room = new WaitingRoom(options.maxWaiting ?? DEFAULT_LIMITS.maxWaiting);
    this.#waitingEveryMs = options.waitingEveryMs ?? WAITING_EVERY_MS;
    this.#thread = options.thread ?? { state: 'loaded', restarts: 0 };
    void closed.then(() => this.#stop('The backend stopped.'));
  }

  /**
   * Waits until the other side is ready. `closed` settles when that side is gone, whether we
   * stopped it or it died.
   */
  static connect(port: ClientPort, closed: Promise<void>, options: ClientOptions = {}): Promise<EngineClient> {
    return new Promise((resolve, reject) => {
      let client: EngineClient | undefined;
      port.on('message', (message: FromEngine) => {
        if (message.type === 'ready') {
          client = new EngineClient(port, message.info, closed, options);
          resolve(client);
        } else if (message.type === 'failed') {
          reject(new Error(message.message));
        } else {
          // Only a client's requests cause news, so the client exists by now.
          client!.#receive(message);
        }
      });
      void closed.then(() => reject(new Error('the engine stopped before it was ready')));
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  get state(): EngineState {
    return this.#thread.state;
  }

  get restarts(): number {
    return this.#thread.restarts;
  }

  stats(): EngineStats {
    return { ...this.#stats, waiting: this.#room.size };
  }

  async *generate(
    request: EngineRequest,
    { signal, takes }: { signal?: AbortSignal; takes?: Takes } = {},
  ): AsyncGenerator<EngineEvent, void, void> {
    signal?.throwIfAborted();
    if (!this.#alive) throw new PlimsollError('backend_unavailable', 'The backend is not running.');
    checkRequest(request, this.info);
    const { tenant = NOBODY } = request;
    this.#room.enter(tenant);
    const id = this.#nextId++;
    const asked: Asked = { tenant, events: new EventQueue(), isWaiting: true };
    const leave = () => {
      // If the request is no longer listed, its answer ended before the reader left.
      if (this.#forget(id)) this.#send({ type: 'cancel', id });
    };
    // This takes effect at once, not when the reader next looks: the reader may be waiting for a
    // client that is gone.
    const abort = () => {
      asked.events.fail(signal?.reason);
      leave();
    };
    const isAlone = this.#asked.size === 0;
    this.#asked.set(id, asked);
    signal?.addEventListener('abort', abort);
    this.#send({ type: 'submit', id, request });
    takes?.listen((taken) => {
      if (this.#asked.has(id)) this.#send({ type: 'take', id, taken });
    });
    const tellToWait = () => {
      asked.events.push({ type: 'waiting', ahead: this.#countAhead(id) });
      asked.heartbeat = setTimeout(tellToWait, this.#waitingEveryMs);
    };
    // A lone request joins at once, unless a run for a request that has left still blocks the
    // thread, or the weights have to be loaded first.
    if (isAlone) asked.heartbeat = setTimeout(tellToWait, Math.min(SOON_MS, this.#waitingEveryMs));
    else tellToWait();
    try {
      yield* asked.events;
    } finally {
      signal?.removeEventListener('abort', abort);
      leave();
    }
  }

  async close(): Promise<void> {
    if (this.#alive) {
      this.#stop('The backend is shutting down.');
      this.#send({ type: 'close' });
    }
    await this.closed;
  }

  #send(message: ToEngine): void {
    this.#port.postMessage(message);
  }

  #receive({ outcomes, queue, stats }: Extract<FromEngine, { type: 'news' }>): void {
    this.#stats = stats;
    this.#queue = queue;
    for (const outcome of outcomes) this.#hear(outcome);
  }

  #hear(outcome: Outcome): void {
    const asked = this.#asked.get(outcome.id);
    if (!asked) return;
    if ('error' in outcome) asked.events.fail(fromPlainError(outcome.error));
    else {
      if (outcome.events[0]?.type === 'start') this.#leaveRoom(asked, { placed: true });
      asked.events.push(...outcome.events);
    }
    if ('error' in outcome || endsRequest(outcome.events)) {
      asked.events.end();
      this.#forget(outcome.id);
    }
  }

  /** The engine decides the order. Requests that it has not seen yet come last. */
  #countAhead(id: number): number {
    const place = this.#queue.indexOf(id);
    if (place >= 0) return place;
    return [...this.#asked].filter(([other, { isWaiting }]) => isWaiting && other < id).length;
  }

  #leaveRoom(asked: Asked, how: { placed: boolean }): void {
    clearTimeout(asked.heartbeat);
    if (asked.isWaiting) this.#room.leave(asked.tenant, how);
    asked.isWaiting = false;
  }

  /** Returns false if the request was no longer listed. */
  #forget(id: number): boolean {
    const asked = this.#asked.get(id);
    if (asked) this.#leaveRoom(asked, { placed: false });
    return this.#asked.delete(id);
  }

  /** Fails every open request, so that no caller waits for an engine that is gone. */
  #stop(message: string): void {
    this.#alive = false;
    this.#stats = NOTHING_RAN;
    for (const [id, { events }] of [...this.#asked]) {
      events.fail(new PlimsollError('backend_unavailable', message));
      this.#forget(id);
    }
  }
}
