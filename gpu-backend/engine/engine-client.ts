/** The caller's side of a port: an `Engine` whose work is done elsewhere. */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Engine, EngineEvent, EngineInfo, EngineRequest, EngineStats } from './engine.ts';
import { EventQueue } from './event-queue.ts';
import { type FromEngine, fromPlainError, type Port, type ToEngine } from './messages.ts';

const IDLE: EngineStats = { running: 0, waiting: 0, rows: 0 };

export class EngineClient implements Engine {
  readonly info: EngineInfo;
  readonly closed: Promise<void>;
  readonly #port: Port;
  readonly #answers = new Map<number, EventQueue<EngineEvent>>();
  #stats = IDLE;
  #nextId = 1;
  #alive = true;

  private constructor(port: Port, info: EngineInfo, closed: Promise<void>) {
    this.#port = port;
    this.info = info;
    this.closed = closed;
    void closed.then(() => this.#stop('The backend stopped.'));
  }

  /**
   * Waits for the other side to be ready. `closed` settles when it is gone, whether it was told to go or died.
   */
  static connect(port: Port, closed: Promise<void>): Promise<EngineClient> {
    return new Promise((resolve, reject) => {
      let client: EngineClient | undefined;
      port.on('message', (message: FromEngine) => {
        if (message.type === 'ready') {
          client = new EngineClient(port, message.info, closed);
          resolve(client);
        } else if (message.type === 'failed') {
          reject(new Error(message.message));
        } else {
          // News is only sent for requests, and those only come from a client.
          client!.#receive(message);
        }
      });
      void closed.then(() => reject(new Error('the engine stopped before it was ready')));
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  stats(): EngineStats {
    return this.#stats;
  }

  async *generate(
    request: EngineRequest,
    { signal }: { signal?: AbortSignal } = {},
  ): AsyncGenerator<EngineEvent, void, void> {
    signal?.throwIfAborted();
    if (!this.#alive) throw new PlimsollError('backend_unavailable', 'The backend is not running.');
    const id = this.#nextId++;
    const queue = new EventQueue<EngineEvent>();
    const leave = () => {
      // No longer listed: the answer ended before its reader left.
      if (this.#answers.delete(id)) this.#send({ type: 'cancel', id });
    };
    // At once, and not when the reader next looks: it may be waiting for a client that is gone.
    const abort = () => {
      queue.fail(signal?.reason);
      leave();
    };
    this.#answers.set(id, queue);
    signal?.addEventListener('abort', abort);
    this.#send({ type: 'submit', id, request });
    try {
      yield* queue;
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

  #receive({ outcomes, stats }: Extract<FromEngine, { type: 'news' }>): void {
    this.#stats = stats;
    for (const outcome of outcomes) {
      const queue = this.#answers.get(outcome.id);
      if (!queue) continue;
      if ('error' in outcome) queue.fail(fromPlainError(outcome.error));
      else queue.push(...outcome.events);
      if ('error' in outcome || outcome.events.at(-1)?.type === 'end') {
        queue.end();
        this.#answers.delete(outcome.id);
      }
    }
  }

  /** Nobody waits for an engine that is gone. */
  #stop(message: string): void {
    this.#alive = false;
    this.#stats = IDLE;
    for (const queue of this.#answers.values()) queue.fail(new PlimsollError('backend_unavailable', message));
    this.#answers.clear();
  }
}
