import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';

/** Names in it may be the caller's, as long and as many as it likes. */
const MOST_CHARACTERS = 500;

/** The JSON of a body in UTF-8. Throws `invalid_json`. */
export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new PlimsollError('invalid_json', 'The body is not JSON.', { cause });
  }
}

/** The body of an order. Throws `invalid_json`, or `invalid_request` with what does not fit. */
export function parseBody<T>(schema: z.ZodType<T>, body: Uint8Array): T {
  const parsed = schema.safeParse(parseJson(body));
  if (parsed.success) return parsed.data;
  throw new PlimsollError('invalid_request', z.prettifyError(parsed.error).slice(0, MOST_CHARACTERS));
}
