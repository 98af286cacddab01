import * as z from 'zod';
import { ERROR_CODES, type ErrorCode, PlimsollError } from '#shared/api/errors.ts';

const RefusalBody = z.object({
  error: z.object({ message: z.string(), param: z.string().nullish(), code: z.string() }),
});

/** No client waits longer because a backend says so. */
const MOST_RETRY_AFTER_SECONDS = 3600;

/**
 * Turns a backend's error into one for the client. If the backend rejects our directive, that is
 * our fault, not the client's.
 */
export async function backendRefusal(answer: Response): Promise<PlimsollError> {
  const parsed = RefusalBody.safeParse(await answer.json().catch(() => null));
  if (!parsed.success || !Object.hasOwn(ERROR_CODES, parsed.data.error.code)) {
    return new PlimsollError('backend_unavailable', 'The backend failed. Please try again.', {
      detail: { status: answer.status },
    });
  }
  const { message, param } = parsed.data.error;
  // The cast: we just found the code among `ERROR_CODES`.
  const code = parsed.data.error.code as ErrorCode;
  const retryAfterSeconds = readRetryAfter(answer.headers.get('retry-after'));
  return refusalOf(code, message, {
    param: param ?? null,
    ...(retryAfterSeconds !== null && { retryAfterSeconds }),
  });
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
