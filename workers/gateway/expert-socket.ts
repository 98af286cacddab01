/**
 * One expert on one backend, over a WebSocket: rows come, the tokens that were drawn go back. The
 * messages are in shared/protocol/expert-messages.ts.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import {
  EXPERT_HEADER,
  EXPERTS_PATH,
  type ExpertDirective,
  expertKey,
  MOST_AHEAD,
  poolExpertKey,
  signExpertDirective,
} from '#shared/protocol/expert-directive.ts';
import {
  decodeRow,
  type ExpertRow,
  type ExpertStart,
  HERE_EVERY_MS,
  type Open,
  Said,
  type Told,
} from '#shared/protocol/expert-messages.ts';
import { parseUnquoted } from '#shared/protocol/parse-unquoted.ts';
import type { Load } from './affinity.ts';
import { backendRefusal, refusalOf } from './backend-refusal.ts';
import type { PoolMember } from './pool-member.ts';
import { brokenOff } from './read-frames.ts';
import { startWatchdog } from './watchdog.ts';

/** The part of a WebSocket that we use. */
type Socket = {
  send(text: string): void;
  close(): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'close' | 'error', listener: () => void): void;
};

/** Opens a socket, or rejects with what the other end says instead. */
export type OpenSocket = (url: string, headers: Record<string, string>, signal: AbortSignal) => Promise<Socket>;

/** How long a backend may be silent that nobody waits for. It closes before that. */
const UNASKED_MS = 3_600_000;

/** As workerd does it: a fetch that asks for an upgrade. */
export const upgrade: OpenSocket = async (url, headers, signal) => {
  const response = await fetch(url, { headers: { ...headers, upgrade: 'websocket' }, signal });
  // The cast: only workerd's Response has it, and this file must also compile under Node's types.
  const { webSocket } = response as unknown as {
    webSocket?: (Socket & { accept(): void; binaryType: string }) | null;
  };
  if (webSocket == null) throw await backendRefusal(response);
  webSocket.binaryType = 'arraybuffer';
  webSocket.accept();
  return webSocket;
};

export type SessionOptions = {
  directive: Omit<ExpertDirective, 'id'>;
  directiveKey: Uint8Array;
  body: string;
  /** The tokens that the answer has already. */
  ids: readonly number[];
  /** The id of the draw secret under which the answer has begun; null if it begins. */
  draws: string | null;
  /** Whether to ask for the model's vocabulary. */
  vocabulary: boolean;
  /** Further headers, for the trace. */
  headers: Record<string, string>;
  signal: AbortSignal;
  openSocket: OpenSocket;
  load: Pick<Load, 'begin'>;
  /** How long it may say nothing. */
  silenceMs: number;
  /** Called each time it says that the request waits there. */
  onWaiting: () => void;
};

export type ExpertSession = {
  member: PoolMember;
  /** The id of the directive that it follows. */
  directive: string;
  asked: Pick<ExpertDirective, 'line' | 'second_look'>;
  start: ExpertStart;
  /** What a second look has found. It is there before the first row, or in its place. */
  look(): LookReport | null;
  /** The row after that many of the answer's tokens. Rejects if the backend breaks off. */
  row(position: number): Promise<ExpertRow>;
  /** Waits for what a second look finds, if it ends the answer, or for the first row. */
  firstWord(position: number): Promise<void>;
  /** The token `id` was drawn at the position `at`, from the row there. */
  take(at: number, id: number): void;
  close(): void;
};

/** Resolves when the backend has begun to answer. */
export async function openSession(member: PoolMember, options: SessionOptions): Promise<ExpertSession> {
  const { body, ids, draws, vocabulary, signal, silenceMs } = options;
  const directive: ExpertDirective = { ...options.directive, id: crypto.randomUUID() };
  const rows = new Map<number, ExpertRow>();
  const waiters = new Map<number, PromiseWithResolvers<ExpertRow>>();
  const started = Promise.withResolvers<ExpertStart>();
  const over = new AbortController();
  const endLoad = options.load.begin(member.url);
  let socket: Socket | null = null;
  let hasStarted = false;
  let vocabSize = 0;
  let epoch = 0;
  let draft: number | null = null;
  let look: LookReport | null = null;
  let failure: PlimsollError | null = null;

  const watchdog = startWatchdog(silenceMs, { onSilence: (ms) => fail(brokenOff(`nothing for ${ms} ms`)) });
  const leave = () => fail(brokenOff('the request is over'));
  const tell = (told: Told) => {
    try {
      socket?.send(JSON.stringify(told));
    } catch (cause) {
      // It is closing. Whoever waits for a row hears of it.
      fail(brokenOff(cause));
    }
  };
  // The other expert or the client may be slow. The backend must not take that for an edge that has
  // gone.
  const here = setInterval(() => tell({ type: 'here' }), HERE_EVERY_MS);

  function letGo(): void {
    endLoad();
    watchdog.stop();
    clearInterval(here);
    signal.removeEventListener('abort', leave);
    over.abort();
    socket?.close();
  }
  function fail(error: PlimsollError): void {
    if (failure !== null) return;
    failure = error;
    letGo();
    started.reject(error);
    for (const { reject } of waiters.values()) reject(error);
    waiters.clear();
  }

  function hear(data: unknown): void {
    if (failure !== null) return;
    hearData(data);
    // An error or a broken message has ended it.
    if (failure !== null) return;
    // Whoever is told nothing has nothing to say: a client may read slowly.
    watchdog.heard(waiters.size > 0 || !hasStarted ? silenceMs : UNASKED_MS);
  }
  function hearData(data: unknown): void {
    if (typeof data === 'string') {
      const said = Said.parse(parseUnquoted(data));
      if (said.type === 'error') fail(refusalOf(said.code, said.message));
      else if (said.type === 'start') {
        hasStarted = true;
        vocabSize = said.vocab_size;
        started.resolve(said);
      } else if (said.type === 'looked') look = said.report;
      else if (said.type === 'waiting') options.onWaiting();
      return;
    }
    if (!(data instanceof ArrayBuffer)) throw new TypeError('a message that is neither text nor bytes');
    const row = decodeRow(data);
    checkRow(row, { topK: directive.top_k, vocabSize });
    // It is about a text that never was.
    if (row.epoch !== epoch) return;
    const waiter = waiters.get(row.position);
    if (waiter !== undefined) {
      waiters.delete(row.position);
      waiter.resolve(row);
    } else if (rows.size > MOST_AHEAD) throw new RangeError('more rows than were asked for');
    else rows.set(row.position, row);
  }

  signal.addEventListener('abort', leave, { once: true });
  // Whoever waits for a row sees the error. Nobody may wait for the start any more.
  started.promise.catch(() => undefined);
  try {
    signal.throwIfAborted();
    const token = await signExpertDirective(directive, await keyFor(member, options));
    const headers = { ...options.headers, [EXPERT_HEADER]: token };
    socket = await options.openSocket(`${member.url}${EXPERTS_PATH}`, headers, over.signal).catch((cause: unknown) => {
      throw cause instanceof PlimsollError ? cause : (failure ?? brokenOff(cause));
    });
    // The request may have ended just then.
    if (failure !== null) {
      socket.close();
      throw failure;
    }
    socket.addEventListener('message', ({ data }) => {
      try {
        hear(data);
      } catch (cause) {
        fail(brokenOff(cause));
      }
    });
    socket.addEventListener('close', () => fail(brokenOff('the socket closed')));
    socket.addEventListener('error', () => fail(brokenOff('the socket broke')));
    socket.send(JSON.stringify({ type: 'open', body, ids: [...ids], draws, vocabulary } satisfies Open));
    const start = await started.promise;
    if (start.model !== member.model) throw brokenOff(`the start names the model ${start.model}`);

    const row = async (position: number): Promise<ExpertRow> => {
      const there = rows.get(position);
      if (there === undefined && failure !== null) throw failure;
      rows.delete(position);
      if (there !== undefined) {
        draft = there.draft;
        return there;
      }
      const waiter = Promise.withResolvers<ExpertRow>();
      waiters.set(position, waiter);
      watchdog.heard(silenceMs);
      const come = await waiter.promise;
      draft = come.draft;
      return come;
    };
    watchdog.heard(UNASKED_MS);
    return {
      member,
      directive: directive.id,
      asked: directive,
      start,
      look: () => look,
      row,
      async firstWord(position) {
        const first = await row(position).catch((thrown: unknown) => {
          // A look that refuses has no row.
          if (look === null) throw thrown;
          return null;
        });
        if (first !== null) rows.set(position, first);
      },
      take(at, id) {
        if (failure !== null) return;
        if (draft !== id) {
          epoch++;
          rows.clear();
        }
        tell({ type: 'take', at, id, epoch });
      },
      close: () => fail(brokenOff('the answer is over')),
    };
  } catch (thrown) {
    const error = thrown instanceof PlimsollError ? thrown : brokenOff(thrown);
    fail(error);
    throw failure ?? error;
  }
}

/**
 * The key that its backend knows the edge by. One that serves the helpfulness expert alone has no
 * secret but its pool's, and what that pool can sign passes nowhere else.
 */
function keyFor(
  { serves }: PoolMember,
  { directive: { expert }, directiveKey }: Pick<SessionOptions, 'directive' | 'directiveKey'>,
): Promise<Uint8Array> {
  const isPools = expert === 'helpfulness' && !serves.includes('safety');
  return isPools ? poolExpertKey(directiveKey) : expertKey(directiveKey, expert);
}

/** Throws a RangeError if the row is of another kind than was asked for, or of other tokens. */
function checkRow(row: ExpertRow, { topK, vocabSize }: { topK: number | null; vocabSize: number }): void {
  if ('logits' in row) {
    if (topK !== null) throw new RangeError(`a whole row, and ${topK} tokens were asked for`);
    if (row.logits.length === vocabSize) return;
    throw new RangeError(`a row of ${row.logits.length} tokens, and the model has ${vocabSize}`);
  }
  if (topK === null) throw new RangeError('a row of the likeliest tokens, and a whole one was asked for');
  const unknown = row.ids.find((id) => id < 0 || id >= vocabSize);
  if (row.ids.length <= topK && unknown === undefined) return;
  throw new RangeError(`a row of ${row.ids.length} tokens, not ${topK}, or the unknown token ${unknown}`);
}
