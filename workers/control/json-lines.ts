/** JSON Lines as an answer: made as the client takes them, so it may be of any length. */
import { logError } from '../request/log.ts';

/** If the lines break, the answer breaks off, and the log says so. */
export function jsonLines(
  lines: AsyncGenerator<unknown, void, void>,
  { event, request }: { event: string; request: string },
): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await lines.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
      } catch (cause) {
        logError({ event, request, cause });
        controller.error(cause);
      }
    },
    async cancel() {
      await lines.return();
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/x-ndjson' } });
}
