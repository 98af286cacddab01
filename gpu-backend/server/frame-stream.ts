import type { Frame } from '#shared/protocol/generate.ts';

/**
 * Sends frames as NDJSON, each as soon as it arrives. `onLeave` is called if the reader leaves
 * before the end. It must end the wait for the next frame, because the generator's `return()` waits
 * for that frame.
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
      // Without this header, the adapter waits for more frames to see whether the answer is short.
      'transfer-encoding': 'chunked',
    },
  });
}
