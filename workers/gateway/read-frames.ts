/**
 * Reads a backend's NDJSON as batches of frames: one batch per piece that the network delivers,
 * with every line that is complete in it. Passing a piece on costs far more than reading a line of
 * it, so a stream that lags catches up in one step.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { Frame } from '#shared/protocol/generate.ts';
import { parseUnquoted } from '#shared/protocol/parse-unquoted.ts';
import { plainToken } from '#shared/protocol/plain-token.ts';

/** A frame is well under a kilobyte, so a line that does not end is not a frame. */
const MAX_LINE_CHARACTERS = 64 * 1024;

/**
 * Ends when the stream ends. Throws `backend_unavailable` if the stream breaks or carries something
 * that is not a frame.
 */
export async function* readFrames(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame[], void, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw brokenOff(cause);
      });
      if (done) break;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE_CHARACTERS) throw brokenOff('a line without end');
      const frames = lines.filter((line) => line !== '').map(parseFrame);
      if (frames.length > 0) yield frames;
    }
    if (rest !== '') throw brokenOff('the last line is incomplete');
  } finally {
    // This also runs when the consumer stops early: an unread rest must not hold the connection.
    await reader.cancel().catch(() => undefined);
  }
}

function parseFrame(line: string): Frame {
  try {
    const value = parseUnquoted(line);
    return plainToken(value) ?? Frame.parse(value);
  } catch (cause) {
    throw brokenOff(cause);
  }
}

export function brokenOff(cause: unknown): PlimsollError {
  return new PlimsollError('backend_unavailable', 'The backend broke off its answer. Please try again.', { cause });
}

const UNREAD = 'nobody has read it for too long';

/** We left a backend because the client reads too slowly. That says nothing about the backend. */
export const unread = (): PlimsollError => brokenOff(UNREAD);

export function isUnread(thrown: unknown): boolean {
  return thrown instanceof PlimsollError && thrown.cause === UNREAD;
}
