/** The response to a chat request, streamed or whole, once its answer is under way. */
import type { ChatRequest } from '#shared/api/chat-request.ts';
import type { PlimsollError } from '#shared/api/errors.ts';
import { within } from '../request/within.ts';
import type { BegunAnswer, Trace } from './answer-extension.ts';
import { BEAT_EVERY_MS, beatingBody } from './beating-body.ts';
import { streamAnswer } from './stream-answer.ts';
import { wholeAnswer, wholeAnswerText } from './whole-answer.ts';

export async function respond(
  begun: Promise<BegunAnswer>,
  {
    chat,
    trace,
    headers,
    onCancel,
    onError,
  }: {
    chat: Pick<ChatRequest, 'stream' | 'stream_options'>;
    trace: Trace;
    /** Besides those that say what kind of body it is. */
    headers: Readonly<Record<string, string>>;
    /** Called if the client leaves. */
    onCancel: () => void;
    /** Gets an error that came too late to set the status. */
    onError: (error: PlimsollError) => void;
  },
): Promise<Response> {
  if (chat.stream === true) {
    const includeUsage = chat.stream_options?.include_usage === true;
    const events = streamAnswer(begun, { trace, includeUsage, onError });
    const beat = { text: ': waiting\n\n', everyMs: BEAT_EVERY_MS };
    return new Response(beatingBody(events, { beat, onCancel }), {
      headers: { ...headers, 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
    });
  }
  const answer = wholeAnswer(begun, { trace });
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
