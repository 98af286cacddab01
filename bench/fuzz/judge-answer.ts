/** What holds for every answer of the edge, whatever it was asked and whatever its backends do. */
import { ERROR_CODES, type ErrorBody } from '#shared/api/errors.ts';

export type Answered = { status: number; text: string; headers: Headers };

export const ANSWERED = 'answered';

const OUR_FAULT = 'internal_error';
/** Of the log: the code was at fault, or the runtime caught what the code did not. */
const FAULTS = /"code":"internal_error"|uncaught|unhandled/i;

export async function answered(response: Response): Promise<Answered> {
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/**
 * Throws if the answer is our fault, or an error that does not have its one shape, or a stream
 * without an ending. Returns the code of its error, or `ANSWERED`.
 */
export function judgeAnswer({ status, headers, text }: Answered): string {
  const isStream = headers.get('content-type')?.startsWith('text/event-stream') === true;
  const body = isStream ? lastEvent(text) : text;
  const retryAfter = headers.get('retry-after');
  if (retryAfter !== null && !/^\d{1,9}$/.test(retryAfter)) throw new Error(`Retry-After is ${retryAfter}`);
  if (isStream && body === '[DONE]') return ANSWERED;
  const error = errorOf(body);
  if (error === null) {
    if (status >= 400 || isStream) throw new Error(`an answer without an end or an error: ${status} ${tail(text)}`);
    return ANSWERED;
  }
  const known = Object.hasOwn(ERROR_CODES, error.code) ? ERROR_CODES[error.code] : null;
  // What waited before it failed has said 200 already.
  if (known === null || (status !== 200 && status !== known.status)) {
    throw new Error(`the code ${error.code} with status ${status}`);
  }
  const { plimsoll: _, ...shape } = error;
  const fields = Object.keys(shape).sort().join();
  if (fields !== 'code,message,param,type') throw new Error(`an error with the fields ${fields}`);
  if (error.code === OUR_FAULT) throw new Error(`our fault: ${status} ${tail(text)}`);
  return error.code;
}

/** Throws if the log, from a line on, tells of a mistake of ours. */
export function judgeLog(log: readonly string[], from: number): void {
  const fault = log.slice(from).find((line) => FAULTS.test(line));
  if (fault !== undefined) throw new Error(`the log tells of our fault: ${fault.slice(0, 2_000)}`);
}

function errorOf(body: string): ErrorBody['error'] | null {
  try {
    const parsed: unknown = JSON.parse(body);
    const isError = typeof parsed === 'object' && parsed !== null && 'error' in parsed;
    // The cast: the caller checks code and fields.
    return isError ? (parsed as ErrorBody).error : null;
  } catch {
    return null;
  }
}

function lastEvent(text: string): string {
  const events = text.split('\n\n').filter((event) => event.startsWith('data: '));
  if (!text.endsWith('\n\n')) throw new Error(`a stream that ends inside an event: ${tail(text)}`);
  return events.at(-1)?.slice('data: '.length) ?? '';
}

const tail = (text: string) => text.slice(-500);
