/**
 * Tells the answers of one request apart. A backend sends their frames in one stream. Each answer
 * is then read as if it were the only one: it has an account of its own, and if the backend breaks
 * off, another one goes on with it.
 *
 * Whoever waits for a frame reads for all: what belongs to others waits until they ask.
 */
import type { Frame } from '#shared/protocol/generate.ts';
import { brokenOff } from './read-frames.ts';

/**
 * The frames of each answer, as those of a request for one.
 *
 * @param readers how many of them are read: once so many have been, the source is left
 * @param onLeft called before that
 */
export function splitChoices(
  frames: AsyncIterable<Frame[]>,
  { count, readers = () => count, onLeft = () => {} }: { count: number; readers?: () => number; onLeft?: () => void },
): AsyncIterable<Frame[]>[] {
  const source = frames[Symbol.asyncIterator]();
  const queues: Frame[][] = Array.from({ length: count }, () => []);
  let reading: Promise<void> | null = null;
  let isOver = false;
  let thrown: { error: unknown } | null = null;
  let done = 0;

  async function read(): Promise<void> {
    try {
      const next = await source.next();
      if (next.done === true) isOver = true;
      else for (const frame of next.value) deal(frame);
    } catch (error) {
      thrown = { error };
    } finally {
      reading = null;
    }
  }

  function deal(frame: Frame): void {
    if (frame.type === 'token' || frame.type === 'text' || frame.type === 'end') {
      const queue = queues[frame.choice ?? 0];
      if (queue === undefined) throw brokenOff('a frame of an answer that was not asked for');
      queue.push(asOnly(frame));
    } else if (frame.type === 'error') for (const queue of queues) queue.push(frame);
    // The rest is about the prompt, and is told once.
    else queues[0]?.push(frame);
  }

  async function* of(queue: Frame[]): AsyncGenerator<Frame[], void, void> {
    try {
      for (;;) {
        if (queue.length > 0) yield queue.splice(0);
        else if (thrown !== null) throw thrown.error;
        else if (isOver) return;
        else {
          reading ??= read();
          await reading;
        }
      }
    } finally {
      done++;
      if (done === readers()) {
        if (thrown === null && !isOver) onLeft();
        await source.return?.();
      }
    }
  }

  return queues.map(of);
}

function asOnly(frame: Frame): Frame {
  if (frame.type === 'end') {
    const { choice: _, remaining: _others, total: _all, ...rest } = frame;
    return rest;
  }
  if (frame.type !== 'token' && frame.type !== 'text') return frame;
  const { choice: _, ...rest } = frame;
  return rest;
}
