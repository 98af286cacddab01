/**
 * Calls to the edge that this page came from. The browser adds the session's cookie. The header
 * says that the call is the console's own, and without it the cookie counts for nothing
 * (request/own-page.ts).
 */
const OWN = { 'x-plimsoll-console': '1' };

/** An answer that is no success, or none at all. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** 0: the edge could not be reached. */
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly retryAfterSeconds: number | null;
  /** The whole body, as far as it was JSON. */
  readonly body: unknown;

  constructor(
    message: string,
    about: { status: number; code: string; param?: string | null; retryAfterSeconds?: number | null; body?: unknown },
  ) {
    super(message);
    this.status = about.status;
    this.code = about.code;
    this.param = about.param ?? null;
    this.retryAfterSeconds = about.retryAfterSeconds ?? null;
    this.body = about.body ?? null;
  }
}

export type Call = {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  body?: unknown;
  ifMatch?: string;
  signal?: AbortSignal;
};

/** The answer, whatever it says. Throws an `ApiError` only if the edge cannot be reached. */
export async function send(path: string, { method = 'GET', body, ifMatch, signal }: Call = {}): Promise<Response> {
  const answer = await reach(path, {
    method,
    headers: {
      ...OWN,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
    credentials: 'same-origin',
  });
  if (answer.ok) return answer;
  const error = await errorOf(answer.clone());
  for (const listen of listeners) listen(error);
  return answer;
}

/** Throws an `ApiError` unless the answer is a success. */
export async function call(path: string, options: Call = {}): Promise<Response> {
  const answer = await send(path, options);
  if (answer.ok) return answer;
  throw await errorOf(answer);
}

/** The same for an answer in JSON. The type is what the edge's own schema says of that route. */
export async function callJson<T>(path: string, options: Call = {}): Promise<T> {
  const answer = await call(path, options);
  // The cast: the console and the edge are one version, and the edge has made this by its schema.
  return (await answer.json()) as T;
}

type Listener = (error: ApiError) => void;
const listeners = new Set<Listener>();
/** Gets every error of every call. Returns what ends that. */
export function onApiError(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError('The edge cannot be reached. Is it running, and are you online?', {
      status: 0,
      code: 'offline',
    });
  }
}

async function errorOf(answer: Response): Promise<ApiError> {
  const body: unknown = await answer.json().catch(() => null);
  const retryAfter = Number(answer.headers.get('retry-after') ?? Number.NaN);
  const told = toldError(body);
  return new ApiError(told?.message ?? `The edge answered ${answer.status}, and not in its own words.`, {
    status: answer.status,
    code: told?.code ?? 'unknown',
    param: told?.param ?? null,
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : null,
    body,
  });
}

/** What an error's body says; null if it is none of the edge's. */
export function toldError(body: unknown): { message: string; code: string; param: string | null } | null {
  if (typeof body !== 'object' || body === null || !('error' in body)) return null;
  const { error } = body;
  if (typeof error !== 'object' || error === null || !('message' in error) || !('code' in error)) return null;
  const param = 'param' in error && typeof error.param === 'string' ? error.param : null;
  return { message: String(error.message), code: String(error.code), param };
}
