/**
 * Reads the request's body, up to a limit and a deadline, once it is known who asks. An answer given while the client is still
 * sending closes the connection under it, and the client then sees a broken connection in place of the answer; so what is not
 * wanted of a body is read for a while too, and thrown away as it comes.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { BodyEnv, Middleware } from './context.ts';
import { logInfo } from './log.ts';
import { within } from './within.ts';

/** Some 250,000 tokens of English: beyond every context length served, and cheap to hold while it is parsed. */
const MAX_BODY_BYTES = 1024 * 1024;
/** Past this a client is not mistaken about the limit, and may well see its connection break. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

export type BodyPatience = {
  /** Between two pieces of a body. */
  silenceMs: number;
  /** For all of it. */
  wholeMs: number;
  /** For all of a body that is read only to be thrown away: its request is refused already, and so may be its key. */
  unwantedMs: number;
};
export const DEFAULT_BODY_PATIENCE: BodyPatience = { silenceMs: 10_000, wholeMs: 60_000, unwantedMs: 2_000 };

export function readBody(patience: BodyPatience): Middleware<BodyEnv> {
  return async function readBody(c, next) {
    c.set('body', await readLimited(c.req.raw.body, { patience, requestId: c.var.requestId }));
    await next();
  };
}

/** Lets a request that was refused unread finish what it is sending, for a moment. */
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
      // Cut, or too slow: it was not wanted anyway.
    }
  };
}

export function parseJson(body: string): unknown {
  try {
    return parseExactly(body);
  } catch (cause) {
    const where = cause instanceof Error ? `: ${cause.message}` : '.';
    throw new PlimsollError('invalid_json', `We could not parse the JSON body of your request${where}`);
  }
}

/** Seeds have 64 bits, and a number has 53: where one may be longer, it is read from the text. */
function parseExactly(text: string): unknown {
  if (!/"seed"\s*:\s*-?\d{16}/.test(text)) return JSON.parse(text);
  // The cast: no type has the third parameter yet.
  return (JSON.parse as ParseWithSource)(text, (key, value, { source = '' }) => {
    return key === 'seed' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}
type ParseWithSource = (
  text: string,
  reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
) => unknown;

/** Counts what comes; what a content-length announces would have to be counted all the same. */
async function readLimited(
  body: ReadableStream<Uint8Array> | null,
  { patience: { silenceMs, wholeMs }, requestId }: { patience: BodyPatience; requestId: string },
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
    // The client's doing, and most likely it is gone: worth counting, no error of ours.
    logInfo({ event: 'request-cut', request: requestId, bytes });
    throw new PlimsollError('request_cut', 'The connection broke before all of the request was here.');
  }
  if (bytes > MAX_BODY_BYTES) {
    throw new PlimsollError('request_too_large', `The request's body is larger than ${MAX_BODY_BYTES} bytes.`);
  }
  return decode(pieces);
}

/** Throws `request_timeout` where the next piece does not come by `until`, which is asked before each. */
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
