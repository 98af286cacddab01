/** Reads a body line by line, however long it is, and holds one line at a time. */
import { PlimsollError } from '#shared/api/errors.ts';
import { within } from '../request/within.ts';

/** All policies of one tenant are in one line, so a line may be long. */
const MAX_LINE_CHARACTERS = 16 * 1024 * 1024;

/** @param silenceMs the longest wait between two pieces of the body */
export async function* readLines(
  body: ReadableStream<Uint8Array> | null,
  { silenceMs }: { silenceMs: number },
): AsyncGenerator<{ line: string; number: number }, void, void> {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  let rest = '';
  let number = 0;
  try {
    for (;;) {
      const { done, value } = await within(silenceMs, reader.read(), () => {
        throw new PlimsollError('request_timeout', 'The body of your request took too long to arrive.');
      });
      rest += decoded(decoder, done ? undefined : value, number + 1);
      const lines = rest.split('\n');
      rest = done ? '' : (lines.pop() ?? '');
      for (const line of lines) {
        number += 1;
        if (line.trim() !== '') yield { line, number };
      }
      if (done) return;
      if (rest.length > MAX_LINE_CHARACTERS) {
        throw new PlimsollError(
          'request_too_large',
          `Line ${number + 1} has more than ${MAX_LINE_CHARACTERS} characters.`,
        );
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function decoded(decoder: InstanceType<typeof TextDecoder>, piece: Uint8Array | undefined, line: number): string {
  try {
    return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
  } catch {
    throw new PlimsollError('invalid_json', `Line ${line} or one soon after it is not valid UTF-8.`);
  }
}
