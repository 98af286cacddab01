/**
 * `POST /v1/responses`: a middleware before the chat route, and no route of its own. It gives the
 * chat route the chat request that the client could have sent, and turns the answer into a
 * response.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { parseResponsesRequest, type ResponsesRequest } from '#shared/api/responses-request.ts';
import { ignoredHeaders } from '../gateway/answer-headers.ts';
import type { MeterEnv } from '../gateway/limits.ts';
import type { Middleware } from '../request/context.ts';
import { parseJson } from '../request/read-body.ts';
import { renderError, report } from '../request/render-error.ts';
import { toMessages } from './chat-messages.ts';
import { conversationBefore, roomForStored, withReferenced } from './earlier-items.ts';
import { newResponseId } from './ids.ts';
import { readInput } from './read-items.ts';
import { renamed } from './rename-error.ts';
import { responseBase } from './response-base.ts';
import { type ResponseStore, responseStore } from './response-store.ts';
import { shownItems } from './shown-items.ts';
import { toChat, writeChat } from './to-chat.ts';
import { translateBody } from './translate-body.ts';

export function responsesBorder(): Middleware<MeterEnv> {
  return async function responsesBorder(c, next) {
    const asked = parseJson(c.var.body);
    const { request, ignored } = parseResponsesRequest(asked);
    const store = responseStore(c);
    const { input, messages, paths } = await conversationOf(request, store);
    // The cast: a request that was parsed is an object.
    c.set('body', writeChat(toChat(request, { asked: asked as Record<string, unknown>, messages })));
    await next();
    const { error, res } = c;
    if (error !== undefined) {
      if (error instanceof PlimsollError && error.param !== null) c.res = renderError(renamed(error, paths), c);
      return;
    }
    if (res.body === null) return;
    const id = newResponseId();
    const isStored = store.lacks === null && request.store !== false;
    const translation = {
      base: responseBase(request, { id, store: isStored }),
      save: async (response: Parameters<ResponseStore['save']>[0]) =>
        isStored && store.save(response, shownItems(input, { response: id })),
      report: (failure: PlimsollError) => {
        if (!c.req.raw.signal.aborted) report(failure, { request: c.var.requestId, trace: c.var.trace.span.traceId });
      },
      isStream: request.stream === true,
    };
    c.res = new Response(translateBody(res.body, translation), { headers: res.headers });
    const unheard = [...ignored, ...(request.store === true && store.lacks !== null ? ['store'] : [])];
    for (const [name, value] of Object.entries(ignoredHeaders(unheard))) c.res.headers.set(name, value);
  };
}

/** The input's own items, and the messages of the whole conversation. */
async function conversationOf(request: ResponsesRequest, store: ResponseStore) {
  const { previous_response_id: previous, instructions = null } = request;
  const items = readInput(request.input);
  const room = roomForStored();
  const before = previous == null ? [] : await conversationBefore(previous, { store, room });
  const own = await withReferenced(items, { store, room });
  return { input: own.map(({ item }) => item), ...toMessages([...before, ...own], { instructions }) };
}
