import type { Frame } from '#shared/protocol/generate.ts';

/**
 * Frames as NDJSON, each sent when it is there. `onLeave` is called when the reader goes before the end. It must end the
 * frame being waited for, because the generator's `return()` waits behind it.
 */
export function frameStream(frames: AsyncGenerator<Frame, void, void>, onLeave: () => void): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await frames.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
    },
    async cancel() {
      onLeave();
      await frames.return();
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
      // Said here, so that the adapter does not wait for more frames to see whether the answer is a short one.
      'transfer-encoding': 'chunked',
    },
  });
}
