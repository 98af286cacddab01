/**
 * Reads the request's body, up to a limit and a deadline, once we know who asks.
 *
 * If we answer while the client is still sending, the connection closes under it, and the client
 * sees a broken connection instead of the answer. So we also read a body that we do not want for a
 * while, and throw it away as it comes.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { isDeeperThan, MOST_DEPTH } from '#shared/api/json-depth.ts';
import { parseExactly } from '#shared/api/parse-exactly.ts';
import type { BodyEnv, CallerEnv, Middleware, OperatorEnv, OwnPageEnv, TenantAccessEnv } from './context.ts';
import { type BodyFormat, bodyFormat, decompress } from './decode-body.ts';
import { logInfo } from './log.ts';
import { within } from './within.ts';

/**
 * About 250,000 tokens of English: more than any context length that is served, and cheap to hold
 * while it is parsed.
 */
export const MAX_BODY_BYTES = 1024 * 1024;
/**
 * A client that sends more than this is not just mistaken about the limit, and may well see its
 * connection break.
 */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

export type BodyPatience = {
  /** The longest wait between two pieces of a body. */
  silenceMs: number;
  /** The longest wait for a whole body. */
  wholeMs: number;
  /**
   * The longest wait for a whole body that is read only to be thrown away. Its request is already
   * refused, and its key may be wrong.
   */
  unwantedMs: number;
};
export const DEFAULT_BODY_PATIENCE: BodyPatience = { silenceMs: 10_000, wholeMs: 60_000, unwantedMs: 2_000 };

/**
 * Finds out who asks, and then reads the body. The two are one middleware, because Hono's types
 * cannot tell the order of two.
 */
export function readBodyAfter<E extends CallerEnv | OperatorEnv | TenantAccessEnv | OwnPageEnv>(
  whoAsks: Middleware<E>,
  patience: BodyPatience,
): Middleware<E & BodyEnv> {
  // The cast: to Hono's types, a context that also has room for a body is none for `whoAsks`.
  const admit = whoAsks as unknown as Middleware<E & BodyEnv>;
  return function readBodyAfter(c, next) {
    return admit(c, async () => {
      const format = bodyFormat(c.req.header('content-encoding') ?? null);
      c.set('body', await readLimited(c.req.raw.body, { patience, requestId: c.var.requestId, format }));
      await next();
    });
  };
}

/** Gives a request that was refused unread a moment to finish what it is sending. */
export function discardUnread({ unwantedMs }: BodyPatience): Middleware {
  return async function discardUnread(c, next) {
    await next();
    const { body, bodyUsed } = c.req.raw;
    if (body === null || bodyUsed) return;
    const deadlineMs = Date.now() + unwantedMs;
    let bytes = 0;
    try {
      for await (const piece of piecesUntil(body, () => deadlineMs)) {
        bytes += piece.byteLength;
        if (bytes > MAX_BODY_BYTES) return;
      }
    } catch {
      // Cut off or too slow. It was not wanted anyway.
    }
  };
}

/** Throws `invalid_json` if it is none, or nested so deep that nobody could walk it. */
export function parseJson(body: string): unknown {
  if (isDeeperThan(MOST_DEPTH, body)) {
    throw new PlimsollError(
      'invalid_json',
      `The JSON body of your request is nested too deep: expected at most ${MOST_DEPTH} objects and arrays in one another.`,
    );
  }
  try {
    return parseExactly(body);
  } catch (cause) {
    const where = cause instanceof Error ? `: ${cause.message}` : '.';
    throw new PlimsollError('invalid_json', `We could not parse the JSON body of your request${where}`);
  }
}

/**
 * Counts the bytes that arrive, because a content-length that the client announces would have to be
 * checked anyway.
 */
async function readLimited(
  body: ReadableStream<Uint8Array> | null,
  {
    patience: { silenceMs, wholeMs },
    requestId,
    format,
  }: { patience: BodyPatience; requestId: string; format: BodyFormat | null },
): Promise<string> {
  if (body === null) return '';
  const wholeUntilMs = Date.now() + wholeMs;
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of piecesUntil(body, () => Math.min(Date.now() + silenceMs, wholeUntilMs))) {
      bytes += piece.byteLength;
      if (bytes <= MAX_BODY_BYTES) pieces.push(piece);
      else pieces.length = 0;
      if (bytes > MAX_DISCARDED_BYTES) break;
    }
  } catch (thrown) {
    if (thrown instanceof PlimsollError) throw thrown;
    // The client caused this, and most likely it is gone. It is worth counting, but it is not our
    // error.
    logInfo({ event: 'request-cut', request: requestId, bytes });
    throw new PlimsollError('request_cut', 'The connection broke before all of the request was here.');
  }
  const tooLarge = (also = '') =>
    new PlimsollError('request_too_large', `The request's body is larger than ${MAX_BODY_BYTES} bytes${also}.`);
  if (bytes > MAX_BODY_BYTES) throw tooLarge();
  if (format === null) return decode(pieces);
  const plain = await decompress(pieces, { format, maxBytes: MAX_BODY_BYTES });
  if (plain === null) throw tooLarge(' once it is decompressed');
  return decode(plain);
}

/**
 * Throws `request_timeout` if the next piece does not arrive by `until`, which is called before
 * each piece.
 */
async function* piecesUntil(
  body: ReadableStream<Uint8Array>,
  until: () => number,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = body.getReader();
  let isOpen = true;
  try {
    for (;;) {
      const { done, value } = await within(until() - Date.now(), reader.read(), () => {
        throw tooSlow();
      });
      if (done) {
        isOpen = false;
        return;
      }
      yield value;
    }
  } finally {
    if (isOpen) await reader.cancel().catch(() => undefined);
  }
}

const tooSlow = () => new PlimsollError('request_timeout', 'The body of your request took too long to arrive.');

function decode(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  try {
    return pieces.map((piece) => decoder.decode(piece, { stream: true })).join('') + decoder.decode();
  } catch {
    throw new PlimsollError('invalid_json', 'We could not parse the JSON body of your request: it is not valid UTF-8.');
  }
}
