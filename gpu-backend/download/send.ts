/**
 * One HTTP request for a download. Follows redirects itself, because only the first server may get
 * the token, and because a hub states a file's checksum before its storage server answers. A server
 * that falls silent counts as a cut connection.
 */
import { retryAfterMs, TransientError } from './retry.ts';

export type Sending = {
  fetch: typeof globalThis.fetch;
  /** Ends the request and the reading of its body. */
  signal?: AbortSignal | undefined;
  /** How long a server may say nothing, before it answers or between two parts of the body. */
  stallMs?: number | undefined;
};

export type Sent = {
  response: Response;
  /** The address that answered, after redirects. */
  url: string;
  /** `x-linked-etag` as the first server gave it: the checksum of what a redirect leads to. */
  linkedEtag: string | null;
};

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const STALL_MS = 60_000;
const UNREACHABLE: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED']);

/**
 * Returns an answer of 2xx, or 416: the caller asked for a range that is not there. `advice` adds
 * to the error about another status. A failure that may pass throws a `TransientError`.
 */
export async function send(
  start: string,
  {
    headers,
    token,
    advice,
  }: { headers: Record<string, string>; token: string | null; advice(status: number | 'unreachable'): string },
  sending: Sending,
): Promise<Sent> {
  const { origin } = new URL(start);
  let url = start;
  let linkedEtag: string | null = null;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const atStart = new URL(url).origin === origin;
    const authorization = token !== null && atStart ? { authorization: `Bearer ${token}` } : {};
    // In a compressed answer, byte ranges would make no sense.
    const all = { 'accept-encoding': 'identity', 'user-agent': 'plimsoll', ...headers, ...authorization };
    const response = await request(url, all, sending).catch((error: unknown) => {
      if (!(error instanceof TransientError && error.unreachable)) throw error;
      const { message, cause } = error;
      throw new TransientError(`${message}${advice('unreachable')}`, { unreachable: true, cause });
    });
    if (atStart) linkedEtag ??= response.headers.get('x-linked-etag');
    const location = response.headers.get('location');
    if (REDIRECTS.has(response.status) && location !== null) {
      await response.body?.cancel();
      url = new URL(location, url).href;
    } else if (response.ok || response.status === 416) {
      return { response, url, linkedEtag };
    } else {
      await response.body?.cancel();
      throw failure(response, url, advice);
    }
  }
  throw new Error(`${withoutQuery(start)}: more than ${MAX_REDIRECTS} redirects`);
}

async function request(url: string, headers: Record<string, string>, sending: Sending): Promise<Response> {
  const { fetch, signal, stallMs = STALL_MS } = sending;
  const stall = new AbortController();
  const either = signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]);
  /** Waits for one thing from the server, but not for ever. */
  const patiently = async <T>(thing: Promise<T>): Promise<T> => {
    const timer = setTimeout(() => stall.abort(new Error(`nothing came for ${stallMs / 1000} s`)), stallMs);
    return await thing.finally(() => clearTimeout(timer));
  };
  let response: Response;
  try {
    response = await patiently(fetch(url, { headers, redirect: 'manual', signal: either }));
  } catch (cause) {
    signal?.throwIfAborted();
    const code = whyUnreachable(cause);
    const network = code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? ' (is there a network?)' : '';
    throw new TransientError(`${withoutQuery(url)}: ${reasonOf(cause)}${network}`, {
      unreachable: code !== null,
      cause,
    });
  }
  return response.body === null ? response : new Response(parts(response.body, patiently), response);
}

function parts(body: ReadableStream<Uint8Array>, patiently: <T>(thing: Promise<T>) => Promise<T>) {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    pull: async (out) => {
      const { done, value } = await patiently(reader.read());
      if (done) out.close();
      else out.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function failure({ status, headers }: Response, url: string, advice: (status: number) => string): Error {
  const said = headers.get('x-error-message');
  const what = `${withoutQuery(url)}: ${status}${said === null ? '' : ` (${said})`}`;
  if (status === 429 || status === 408 || status >= 500) {
    return new TransientError(what, { retryAfterMs: retryAfterMs(headers.get('retry-after'), Date.now()) });
  }
  return new Error(`${what}${advice(status)}`);
}

/** Removes the query, where signed addresses carry their secret. */
function withoutQuery(url: string): string {
  return url.replace(/\?.*$/s, '');
}

/** Why fetch came to no server: an unknown name, or nobody listens. null for any other failure. */
function whyUnreachable(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const { cause } = error;
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  if (!(first instanceof Error)) return null;
  if (first.message === 'bad port') return first.message;
  return 'code' in first && UNREACHABLE.has(first.code) ? String(first.code) : null;
}

/** fetch itself only says "fetch failed". The reason is in the error's cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return cause.errors[0].message;
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}
