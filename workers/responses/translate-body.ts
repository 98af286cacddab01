/** The body of a chat answer as the body of a response: whole, or as events. */
import { type PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { ResponseObject } from '#shared/api/responses-answer.ts';
import { asChunk, type ChatChunk, readWritten } from './chat-chunk.ts';
import type { ResponseBase } from './response-base.ts';
import { createEventWriter, type EventWriter } from './write-events.ts';

export type Translation = {
  base: ResponseBase;
  /** Called when the answer has ended, before the client hears so. Returns whether it is stored. */
  save: (response: ResponseObject) => Promise<boolean>;
  /** Hears of what fails in here. The chat route reports its own failures. */
  report: (error: PlimsollError) => void;
};

/**
 * @param body ends as soon as the returned one is cancelled
 */
export function translateBody(
  body: ReadableStream<Uint8Array>,
  { isStream, ...translation }: Translation & { isStream: boolean },
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const texts = isStream ? events(piecesOf(reader), translation) : whole(piecesOf(reader), translation);
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await texts.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

async function* piecesOf(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    yield decoder.decode(piece.value, { stream: true });
  }
}

/** White space comes while the client waits, and goes on to it. */
async function* whole(
  pieces: AsyncIterable<string>,
  { base, save, report }: Translation,
): AsyncGenerator<string, void, void> {
  let json = '';
  for await (const piece of pieces) {
    if (json === '' && piece.trim() === '') yield piece;
    else json += piece;
  }
  const writer = createEventWriter(base);
  let response: ResponseObject;
  try {
    const written = readWritten<Parameters<typeof asChunk>[0]>(json);
    if ('error' in written) response = writer.fail(written.error);
    else {
      writer.push(asChunk(written));
      response = writer.finish();
      // Nobody has heard of a chunk. The extension has all tokens, with the trace for it.
      response.store = await save(response);
    }
  } catch (thrown) {
    response = failed(thrown, { writer, report });
  }
  yield JSON.stringify(response);
}

function failed(
  thrown: unknown,
  { writer, report }: { writer: EventWriter } & Pick<Translation, 'report'>,
): ResponseObject {
  const error = toPlimsollError(thrown);
  report(error);
  return writer.fail(error.toBody().error);
}

const DATA = 'data: ';

/** Never throws: an error is the last event. */
async function* events(
  pieces: AsyncIterable<string>,
  { base, save, report }: Translation,
): AsyncGenerator<string, void, void> {
  const writer = createEventWriter(base);
  let isOver = false;
  try {
    for await (const event of splitEvents(pieces)) {
      if (!event.startsWith(DATA)) yield `${event}\n\n`;
      else if (event === `${DATA}[DONE]`) {
        isOver = true;
        yield* ending(writer, save);
      } else {
        const chunk = readWritten<ChatChunk>(event.slice(DATA.length));
        if ('error' in chunk) {
          isOver = true;
          writer.end(writer.fail(chunk.error));
        } else writer.push(chunk);
        const text = writer.take();
        if (text !== '') yield text;
      }
    }
    if (isOver) return;
    throw new Error('the chat answer has no end');
  } catch (thrown) {
    writer.end(failed(thrown, { writer, report }));
    yield writer.take();
  }
}

async function* ending(writer: EventWriter, save: Translation['save']): AsyncGenerator<string, void, void> {
  const response = writer.finish();
  yield writer.take();
  response.store = await save(response);
  writer.end(response);
  yield writer.take();
}

async function* splitEvents(pieces: AsyncIterable<string>): AsyncGenerator<string, void, void> {
  let rest = '';
  for await (const piece of pieces) {
    const parts = (rest + piece).split('\n\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
}
