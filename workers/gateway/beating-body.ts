/**
 * A body that never falls silent: between its texts, it sends a beat that its reader ignores.
 * workerd notices that a client has closed its connection only when it writes to it. Without the
 * beat, an answer that nobody reads would run, and cost, to its end.
 */
type Beat = { text: string; everyMs: number };

/**
 * Rare enough to cost nothing. It takes two beats to notice a closed connection, which is still
 * under a second.
 */
export const BEAT_EVERY_MS = 400;

export function beatingBody(
  texts: AsyncGenerator<string, void, void>,
  { beat, onCancel }: { beat: Beat; onCancel: () => void },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let wroteAtMs = Date.now();
  let isOver = false;
  let timer: ReturnType<typeof setInterval> | null = null;
  const stop = () => {
    isOver = true;
    if (timer !== null) clearInterval(timer);
  };
  let onRoom = () => {};

  /** To be asked for each text would cost a tenth more than to write until the reader lags. */
  async function writeAll(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      const { value, done } = await texts.next();
      if (isOver) return;
      if (done) {
        stop();
        return controller.close();
      }
      wroteAtMs = Date.now();
      controller.enqueue(encoder.encode(value));
      if (isFull(controller)) {
        await new Promise<void>((resolve) => {
          onRoom = resolve;
        });
      }
    }
  }

  return new ReadableStream<Uint8Array>({
    start(controller) {
      const write = () => {
        if (isFull(controller) || Date.now() - wroteAtMs < beat.everyMs / 2) return;
        wroteAtMs = Date.now();
        controller.enqueue(encoder.encode(beat.text));
      };
      timer = setInterval(write, beat.everyMs);
      writeAll(controller).catch((thrown: unknown) => {
        stop();
        controller.error(thrown);
      });
    },
    pull: () => onRoom(),
    cancel() {
      stop();
      onCancel();
    },
  });
}

function isFull({ desiredSize }: ReadableStreamDefaultController): boolean {
  return (desiredSize ?? 0) <= 0;
}
