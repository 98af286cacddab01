import { expect, test } from 'vitest';
import { readEvents } from './read-events.ts';

/** A body that comes in these pieces. */
function bodyOf(...pieces: Uint8Array[]): { body: ReadableStream<Uint8Array>; cancelled: () => boolean } {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = pieces.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(piece);
    },
    cancel() {
      cancelled = true;
    },
  });
  return { body, cancelled: () => cancelled };
}
const bytes = (text: string) => new TextEncoder().encode(text);
async function all(body: ReadableStream<Uint8Array>): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const event of readEvents(body)) events.push(event);
  return events;
}

test('reads events however they are cut, inside a character too, and passes over comments', async () => {
  const whole = bytes(': waiting\n\ndata: {"text":"⚓ é"}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n');
  for (let at = 1; at < whole.length; at++) {
    const { body } = bodyOf(whole.slice(0, at), whole.slice(at));
    expect(await all(body)).toEqual([{ text: '⚓ é' }, { n: 2 }]);
  }
});

test('an answer that breaks off does not look whole', async () => {
  await expect(all(bodyOf(bytes('data: {"n":1}\n\n')).body)).rejects.toThrow('broke off');
});

test('whoever stops reading lets the edge know', async () => {
  const { body, cancelled } = bodyOf(bytes('data: {"n":1}\n\n'), bytes('data: {"n":2}\n\n'));
  for await (const _ of readEvents(body)) break;
  expect(cancelled()).toBe(true);
});
