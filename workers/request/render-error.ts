/**
 * The one place that turns something thrown into an answer, in OpenAI's shape. Routes do not catch.
 */
import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { AppContext } from './context.ts';
import { logFailure } from './log.ts';

export function renderError(thrown: unknown, c: Pick<AppContext, 'req' | 'var'>): Response {
  const error = toPlimsollError(thrown);
  // A client that has left causes errors of its own, and nobody reads the answer.
  if (!c.req.raw.signal.aborted) report(error, { request: c.var.requestId, trace: traceOf(c) });
  const headers = new Headers({ 'content-type': 'application/json' });
  if (error.retryAfterSeconds !== undefined) headers.set('retry-after', String(error.retryAfterSeconds));
  if (error.status === 401) headers.set('www-authenticate', 'Bearer');
  // RFC 9110, 15.5.16: which encodings would do.
  if (error.status === 415) headers.set('accept-encoding', 'gzip, deflate');
  const { current } = error;
  if (current !== undefined) headers.set('etag', current.etag);
  const body = { ...error.toBody(), ...(current !== undefined && { current: current.value }) };
  return new Response(JSON.stringify(body), { status: error.status, headers });
}

/** The caller's mistakes are not logged. Ours go to the log with everything we know. */
export function report(error: PlimsollError, about: { request: string; trace: string | undefined }): void {
  if (error.status < 500) return;
  logFailure('request-failed', error, about);
}

/** Undefined if the request failed before it had a trace. */
function traceOf(c: Pick<AppContext, 'var'>): string | undefined {
  // Set on every route, but an error may come before that.
  return (c.var as Partial<AppContext['var']>).trace?.span.traceId;
}

export function methodNotAllowed(allowed: readonly string[]) {
  return (c: AppContext): Response => {
    const error = new PlimsollError(
      'method_not_allowed',
      `Not allowed to ${c.req.method} on ${c.req.path} (allowed: ${allowed.join(', ')}).`,
    );
    const answer = renderError(error, c);
    answer.headers.set('allow', allowed.join(', '));
    return answer;
  };
}
