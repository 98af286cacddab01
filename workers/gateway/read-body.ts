/**
 * Reads the request's body, up to a limit, before anything is decided about the request. An answer given while the client
 * is still sending closes the connection under it, and the client then sees a broken connection in place of the answer;
 * so a body that is too large is read to its end too, and thrown away as it comes.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { AppContext, Middleware } from './context.ts';

/** Some 250,000 tokens of English: beyond every context length served, and cheap to hold while it is parsed. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** Past this a client is not mistaken about the limit, and may well see its connection break. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

export function readBody(): Middleware {
  return async function readBody(c, next) {
    c.set('body', await readLimited(c.req.raw.body));
    await next();
  };
}

export function parseJsonBody(c: AppContext): unknown {
  try {
    return JSON.parse(c.var.body);
  } catch (cause) {
    const where = cause instanceof Error ? `: ${cause.message}` : '.';
    throw new PlimsollError('invalid_json', `We could not parse the JSON body of your request${where}`);
  }
}

/** Counts what comes; what a content-length announces would have to be counted all the same. */
async function readLimited(body: ReadableStream<Uint8Array> | null): Promise<string> {
  if (body === null) return '';
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.byteLength;
    if (bytes <= MAX_BODY_BYTES) text += decoder.decode(piece, { stream: true });
    else if (bytes > MAX_DISCARDED_BYTES) break;
  }
  if (bytes > MAX_BODY_BYTES) {
    throw new PlimsollError('request_too_large', `The request's body is larger than ${MAX_BODY_BYTES} bytes.`);
  }
  return text + decoder.decode();
}
