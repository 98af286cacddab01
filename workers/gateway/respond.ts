/** The response to a request for answers, streamed or whole, once they are under way. */
import type { PlimsollError } from '#shared/api/errors.ts';
import { within } from '../request/within.ts';
import { BEAT_EVERY_MS, beatingBody } from './beating-body.ts';
import { wholeAnswerText } from './whole-answer.ts';

export async function respond({
  streams,
  whole,
  events,
  headers,
  onCancel,
  onError,
}: {
  streams: boolean;
  /** The body of a whole answer. */
  whole: () => Promise<object>;
  /** The text of each event of a stream. An error becomes the last event. */
  events: (onError: (error: PlimsollError) => void) => AsyncGenerator<string, void, void>;
  /** Besides those that say what kind of body it is. */
  headers: Readonly<Record<string, string>>;
  /** Called if the client leaves. */
  onCancel: () => void;
  /** Gets an error that came too late to set the status. */
  onError: (error: PlimsollError) => void;
}): Promise<Response> {
  if (streams) {
    const beat = { text: ': waiting\n\n', everyMs: BEAT_EVERY_MS };
    return new Response(beatingBody(events(onError), { beat, onCancel }), {
      headers: { ...headers, 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
    });
  }
  const answer = whole();
  // A quick answer is sent whole, and an early error sets the status. A slower answer begins with
  // white space and ends with its JSON.
  if (await settlesWithin(BEAT_EVERY_MS, answer)) return Response.json(await answer, { headers });
  const beat = { text: ' ', everyMs: BEAT_EVERY_MS };
  return new Response(beatingBody(wholeAnswerText(answer, { onError }), { beat, onCancel }), {
    headers: { ...headers, 'content-type': 'application/json' },
  });
}

/** Whether the promise settles, either way, within `ms`. */
async function settlesWithin(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return within(ms, settled, () => false);
}
