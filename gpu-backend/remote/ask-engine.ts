/**
 * Asks one expert's servers. An answer's questions go to the same server, because it has their
 * beginning in its prefix cache; answers that begin alike share two servers. A question carries
 * everything that its answer depends on, so it may be asked anywhere and again: no token has been
 * drawn from an answer that is not here.
 *
 * - A server that fails is passed over for the next one. For a while it is asked last, so that a
 *   dead server does not cost every token its time-out. Not so where the question is at fault (it
 *   is too long), or where all fail alike: that says nothing about which of them is better, and the
 *   first to answer again would get the questions of all. What rested before still rests.
 * - If all have failed, and at least one in a way that may pass (it hangs up, it is overloaded),
 *   they are asked again after a pause, twice. A server whose time was up is not.
 * - One server has so many questions at a time; the others wait here, in their order.
 */
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import * as z from 'zod';
import type { OwnRow } from '#shared/gate/pair-rows.ts';
import { asError } from '../engine/turns.ts';
import { ownRow, RowError, UnknownTextError } from './own-row.ts';
import { getJson, postJson, StatusError } from './post-json.ts';
import type { Dialect } from './remote-engine.ts';
import { Slots } from './slots.ts';

export type EngineOptions = {
  dialect: Dialect;
  /** Base URLs of servers that hold the same model. At least one. */
  urls: readonly string[];
  /** The name under which the servers have this expert: an adapter or a model. */
  model: string | null;
  /** k */
  topK: number;
  /** V, the bundle's. */
  vocabSize: number;
  /** How long one server may take for one answer. */
  timeoutMs: number;
  /** Sent as a bearer token, if the servers want one. */
  apiKey: string | null;
  /** How many questions one server has at a time. */
  atOnce?: number;
  /** Is told which server failed, and why. */
  warn?: (message: string) => void;
};

/** What goes with a question. */
export type Asking = {
  /** Questions with the same text go to the same server while it answers. */
  affinity: string;
  /** Which server that is; the first one by rendezvous hash if left out. */
  home?: string;
  /** See `Asked.cacheSalt`. */
  cacheSalt: string | null;
  signal: AbortSignal;
  /** false for a question that may as well stay unanswered. */
  insists?: boolean;
};

/** A server that an answer stays with, and how to leave it. */
export type Home = {
  url: string;
  /** Call it once. */
  leave: () => void;
};

type RowsAsking = Omit<Asking, 'affinity'> & { positions: number; readsCache?: boolean };

/** No server gave a row. The message names each one and why; it is for the log, not for clients. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
}

/** What an expert would say next, greedily. */
export type Continuation = {
  ids: readonly number[];
  /** What each of the ids was chosen from. */
  rows: readonly OwnRow[];
};

export class RemoteEngine {
  readonly #options: EngineOptions;
  readonly #slots: ReadonlyMap<string, Slots>;
  /** How many have their home at a server. */
  readonly #guests = new Map<string, number>();
  /** Until when a server that failed is asked last, by the clock of `performance.now`. */
  readonly #resting = new Map<string, number>();
  /** The same, but only of failures where others did not fail alike. */
  readonly #earned = new Map<string, number>();
  /** Until when no more is said of a server's failures, by the same clock. */
  readonly #told = new Map<string, number>();

  constructor(options: EngineOptions) {
    if (options.urls.length === 0) throw new Error('an engine needs the URL of at least one server');
    this.#options = options;
    this.#slots = new Map(options.urls.map((url) => [url, new Slots(options.atOnce ?? AT_ONCE)]));
  }

  get urls(): readonly string[] {
    return this.#options.urls;
  }

  /**
   * The less loaded of the first two servers by rendezvous hash. So what many beginnings have in
   * common is in the caches of two servers, and not all of them wait for one.
   */
  settle(affinity: string): Home {
    const [first, second = first] = this.#inOrder({ affinity });
    const guests = (url: string) => this.#guests.get(url) ?? 0;
    // An engine has at least one server.
    return this.stayAt(guests(second!) < guests(first!) ? second! : first!);
  }

  /** Counts one more at a server. */
  stayAt(url: string): Home {
    const add = (change: number) => this.#guests.set(url, (this.#guests.get(url) ?? 0) + change);
    add(1);
    return { url, leave: () => add(-1) };
  }

  /**
   * What the expert gives the token after each of the last `positions` ids, oldest first.
   *
   * @throws EngineError if no server gives rows that can be ones
   */
  rows(ids: readonly number[], { positions = 1, ...asking }: Asking & { positions?: number }): Promise<OwnRow[]> {
    return this.#insist(asking, (url) => this.#rowsAt(url, ids, { positions, ...asking }));
  }

  /**
   * What the expert would say next, greedily: at most `count` tokens.
   *
   * @throws EngineError as `rows` does
   */
  goOn(ids: readonly number[], { count, ...asking }: Asking & { count: number }): Promise<Continuation> {
    return this.#insist(asking, (url) => this.#goOnAt(url, ids, { count, ...asking }));
  }

  /** Whether `nextAt` with a new salt and `readsCache: false` reads nothing that is cached. */
  get canAskCold(): boolean {
    return this.#options.dialect.canAskCold;
  }

  /** What one server says of the next token. Throws an Error that says why there is no row. */
  async nextAt(
    url: string,
    ids: readonly number[],
    signal: AbortSignal,
    { cacheSalt = null, readsCache = true }: { cacheSalt?: string | null; readsCache?: boolean } = {},
  ): Promise<OwnRow> {
    const [row] = await this.#rowsAt(url, ids, { positions: 1, cacheSalt, readsCache, signal });
    return row!;
  }

  async #rowsAt(
    url: string,
    ids: readonly number[],
    { positions, cacheSalt, readsCache, signal }: RowsAsking,
  ): Promise<OwnRow[]> {
    const { dialect, topK, vocabSize } = this.#options;
    const query = { ids, positions };
    const answer = await this.#post(url, dialect.rows.question(query, this.#asked(cacheSalt, readsCache)), signal);
    const rows = dialect.rows.read(answer, query);
    if (rows.length !== positions) throw new RowError(`it tells ${rows.length} positions in place of ${positions}`);
    return rows.map((row) => ownRow(row, { topK, vocabSize }));
  }

  async #goOnAt(
    url: string,
    ids: readonly number[],
    { count, cacheSalt, signal }: Asking & { count: number },
  ): Promise<Continuation> {
    const { dialect, topK, vocabSize } = this.#options;
    const { goOn } = dialect;
    if (goOn === null) throw new Error(`${dialect.name} makes no drafts`);
    const answer = await this.#post(url, goOn.question({ ids, count }, this.#asked(cacheSalt)), signal);
    const said = goOn.read(answer).slice(0, count);
    for (const { id } of said) {
      if (id >= 0 && id < vocabSize) continue;
      throw new RowError(`it says token ${id}, but the vocabulary has the ids 0 to ${vocabSize - 1}`);
    }
    return { ids: said.map(({ id }) => id), rows: said.map(({ row }) => ownRow(row, { topK, vocabSize })) };
  }

  /**
   * The ids that one server's tokenizer makes of a text, with no special tokens but those written
   * in it; null if such a server does not tell.
   */
  async tokenizeAt(url: string, text: string, signal: AbortSignal): Promise<number[] | null> {
    const { dialect, model } = this.#options;
    if (dialect.tokenize === null) return null;
    return dialect.tokenize.read(await this.#post(url, dialect.tokenize.question(text, { model }), signal));
  }

  /** How many adapters one server's answers have; null if such a server does not tell. */
  async adaptersAt(url: string, signal: AbortSignal): Promise<number | null> {
    const { dialect, model, apiKey, timeoutMs } = this.#options;
    if (dialect.adapters === null) return null;
    const { path, read } = dialect.adapters;
    return read(await getJson(url, path, { apiKey, timeoutMs, signal }), { model });
  }

  #asked(cacheSalt: string | null, readsCache = true) {
    const { model, topK } = this.#options;
    return { model, topK, cacheSalt, readsCache };
  }

  async #insist<T>({ signal, insists = true, ...asking }: Asking, ask: (url: string) => Promise<T>): Promise<T> {
    const failures = new Map<string, Error>();
    const blamed = new Set<string>();
    for (let round = 0; ; round++) {
      const urls = this.#inOrder(asking).filter((url) => !timeWasUp(failures.get(url)));
      for (const url of urls) {
        try {
          const answer = await ask(url);
          blamed.delete(url);
          this.#resting.delete(url);
          this.#earned.delete(url);
          this.#keepRests(blamed);
          return answer;
        } catch (thrown) {
          signal.throwIfAborted();
          const error = asError(thrown);
          failures.set(url, error);
          this.#tell(url, error);
          if (isOfQuestion(error)) continue;
          blamed.add(url);
          this.#resting.set(url, performance.now() + REST_MS);
        }
      }
      if (areAlike([...failures.values()])) {
        this.#takeBackRests(blamed);
        blamed.clear();
      }
      const pauseMs = PAUSES_MS[round];
      if (!insists || pauseMs === undefined || !urls.some((url) => mayPass(failures.get(url)))) {
        this.#keepRests(blamed);
        const reasons = Array.from(failures, ([url, error]) => `${url}: ${reasonOf(error)}`);
        throw new EngineError(`no ${this.#options.dialect.name} server gave a row. ${reasons.join('; ')}`);
      }
      await pause(pauseMs * (1 + Math.random()), undefined, { signal });
    }
  }

  /**
   * Those that have failed lately come last. The rest by rendezvous hash, after the home: when one
   * is gone, only its questions move.
   */
  #inOrder({ affinity, home }: Pick<Asking, 'affinity' | 'home'>): string[] {
    const now = performance.now();
    const rests = (url: string) => Number((this.#resting.get(url) ?? 0) > now);
    const weight = (url: string) => createHash('sha256').update(`${url} ${affinity}`).digest('hex');
    return this.#options.urls
      .map((url) => ({ url, weight: weight(url), rests: rests(url) }))
      .sort(
        (a, b) =>
          a.rests - b.rests || Number(b.url === home) - Number(a.url === home) || (a.weight < b.weight ? 1 : -1),
      )
      .map(({ url }) => url);
  }

  #keepRests(urls: Iterable<string>): void {
    for (const url of urls) {
      const until = this.#resting.get(url);
      if (until !== undefined) this.#earned.set(url, until);
    }
  }

  /** To what they had earned, and not to what other questions, which may fail alike, have found. */
  #takeBackRests(urls: Iterable<string>): void {
    for (const url of urls) {
      const until = this.#earned.get(url);
      if (until === undefined) this.#resting.delete(url);
      else this.#resting.set(url, until);
    }
  }

  #tell(url: string, error: Error): void {
    const now = performance.now();
    if ((this.#told.get(url) ?? 0) > now) return;
    this.#told.set(url, now + REST_MS);
    this.#options.warn?.(`${this.#options.dialect.name} at ${url} failed: ${reasonOf(error)}`);
  }

  #post(url: string, question: { path: string; body: unknown }, signal: AbortSignal): Promise<unknown> {
    const { timeoutMs, apiKey } = this.#options;
    const slots = this.#slots.get(url) ?? new Slots(1);
    return slots.use(() => postJson(url, question, { apiKey, timeoutMs, signal }), signal);
  }
}

/** Enough to fill an engine's batch, and few enough that one node does not fill its queue. */
const AT_ONCE = 256;
/** How long a server that failed is asked last. */
const REST_MS = 10_000;
/** Before the servers are asked a second and a third time; up to twice as long, at random. */
const PAUSES_MS = [100, 400];

/** Whether asking the same again may help: not if the answer made no sense, or time was up. */
function mayPass(error: Error | undefined): boolean {
  if (error instanceof StatusError) return error.status === 408 || error.status === 429 || error.status >= 500;
  // `fetch` rejects with a TypeError if there is no connection, or it ends too early.
  return error instanceof TypeError && !timeWasUp(error);
}

/** Ours, or the time that `fetch` has for a connection. */
function timeWasUp(error: Error | undefined): boolean {
  const cause = error?.cause instanceof Error ? error.cause : error;
  return /Timeout/.test(cause?.name ?? '');
}

/** Whether it is the question that the server cannot answer; it answers others. */
function isOfQuestion(error: Error): boolean {
  if (error instanceof StatusError) return [400, 413, 422].includes(error.status);
  return error instanceof UnknownTextError;
}

function areAlike(errors: readonly Error[]): boolean {
  const kinds = errors.map((error) => (error instanceof StatusError ? `${error.status}` : error.name));
  return new Set(kinds).size === 1;
}

function reasonOf(error: Error): string {
  if (error instanceof z.ZodError) {
    const [first] = error.issues;
    return `no such answer is known: ${first?.path.join('.')}: ${first?.message}`;
  }
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`;
}
