import * as z from 'zod';
import { ERROR_CODES, type ErrorCode, PlimsollError } from '#shared/api/errors.ts';

const RefusalBody = z.object({
  error: z.object({ message: z.string(), param: z.string().nullish(), code: z.string() }),
});

/** No client waits longer because a backend says so. */
const MOST_RETRY_AFTER_SECONDS = 3600;

/**
 * What a server says to a request that is too large, in words of its own: one in front of a
 * backend, or Node itself.
 */
const TOO_LARGE = [413, 414, 431];

/**
 * Turns a backend's error into one for the client. If the backend rejects our directive, that is
 * our fault, not the client's. What is the request's own fault must not look like the backend's:
 * `backend_unavailable` leaves the backend out for all tenants (breaker.ts).
 */
export async function backendRefusal(answer: Response): Promise<PlimsollError> {
  const parsed = RefusalBody.safeParse(await answer.json().catch(() => null));
  if (!parsed.success || !Object.hasOwn(ERROR_CODES, parsed.data.error.code)) {
    const detail = { status: answer.status };
    if (TOO_LARGE.includes(answer.status)) {
      return new PlimsollError('request_too_large', 'The request is too large for the backend.', { detail });
    }
    if (answer.status === 429) {
      const options = { detail, ...waitOf(answer) };
      return new PlimsollError('overloaded', 'The backend is overloaded. Please try again.', options);
    }
    return new PlimsollError('backend_unavailable', 'The backend failed. Please try again.', { detail });
  }
  const { message, param } = parsed.data.error;
  // The cast: we just found the code among `ERROR_CODES`.
  const code = parsed.data.error.code as ErrorCode;
  return refusalOf(code, message, { param: param ?? null, ...waitOf(answer) });
}

function waitOf(answer: Response): { retryAfterSeconds?: number } {
  const retryAfterSeconds = readRetryAfter(answer.headers.get('retry-after'));
  return retryAfterSeconds === null ? {} : { retryAfterSeconds };
}

/** The error for the client when a backend has said this code. */
export function refusalOf(
  code: ErrorCode,
  message: string,
  options: { param?: string | null; retryAfterSeconds?: number } = {},
): PlimsollError {
  if (code !== 'directive_invalid' && code !== 'directive_expired') return new PlimsollError(code, message, options);
  return new PlimsollError('internal_error', 'The server had an error while processing your request.', {
    detail: { code, message },
  });
}

/** HTTP knows only whole seconds. Anything else from a backend is rounded up, or null. */
function readRetryAfter(header: string | null): number | null {
  const seconds = Number(header);
  return seconds > 0 ? Math.min(Math.ceil(seconds), MOST_RETRY_AFTER_SECONDS) : null;
}
