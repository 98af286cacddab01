/** `POST /v1/chat/completions`: the main path, top to bottom. */
import { ignoredInChat, parseChatRequest } from '#shared/api/chat-request.ts';
import { parseJson } from '../request/read-body.ts';
import { report } from '../request/render-error.ts';
import { cacheHeaders, ignoredHeaders } from './answer-headers.ts';
import type { createPromptAnswerer, Metered } from './answer-prompt.ts';
import { withToolCalls } from './read-tool-calls.ts';
import { respond } from './respond.ts';
import { streamAnswer } from './stream-answer.ts';
import { wholeAnswer } from './whole-answer.ts';

export function chatCompletions({ prepare, decideOn, begin }: ReturnType<typeof createPromptAnswerer>) {
  return async (c: Metered): Promise<Response> => {
    const body = parseJson(c.var.body);
    const chat = parseChatRequest(body);
    const prepared = await prepare(chat, c);
    // The account writes to disk. Meanwhile the prompt can be read.
    const reserved = c.var.meter.reserve(prepared.cost);
    const decided = await decideOn(prepared, c).finally(() => reserved);
    const { begun: begunAsText, ready, state, ageMs, cancel, hasLeft } = await begin(decided, c);
    // Until a backend has taken the request, or said that it waits there, an error can still set
    // the status.
    await ready;
    const { reads } = prepared;
    const begun = reads === null ? begunAsText : begunAsText.then((answer) => withToolCalls(answer, reads));
    begun.catch(() => undefined);

    const wishes = {
      trace: prepared.trace,
      top: chat.plimsoll?.top ?? 0,
      logprobs: chat.logprobs === true ? (chat.top_logprobs ?? 0) : null,
      choices: chat.n ?? 1,
    };
    const includeUsage = chat.stream_options?.include_usage === true;
    return respond({
      streams: chat.stream === true,
      whole: () => wholeAnswer(begun, wishes),
      events: (onError) => streamAnswer(begun, { ...wishes, includeUsage, onError }),
      headers: { ...cacheHeaders(state, ageMs), ...ignoredHeaders(ignoredInChat(body)) },
      onCancel: cancel,
      onError: (error) => {
        // If the client has left, the failure is not our error.
        if (!hasLeft()) report(error, { request: c.var.requestId, trace: c.var.trace.span.traceId });
      },
    });
  };
}
