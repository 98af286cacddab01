/**
 * `POST /v1/responses`: a middleware before the chat route, and no route of its own. It gives the
 * chat route the chat request that the client could have sent, and turns the answer into a response.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { parseResponsesRequest } from '#shared/api/responses-request.ts';
import type { MeterEnv } from '../gateway/limits.ts';
import type { Middleware } from '../request/context.ts';
import { parseJson } from '../request/read-body.ts';
import { renderError } from '../request/render-error.ts';
import { toMessages } from './chat-messages.ts';
import { newResponseId } from './ids.ts';
import { type Item, type Placed, readInput } from './read-items.ts';
import { renamed } from './rename-error.ts';
import { responseBase } from './response-base.ts';
import { toChat, writeChat } from './to-chat.ts';
import { translateBody } from './translate-body.ts';

export function responsesBorder(): Middleware<MeterEnv> {
  return async function responsesBorder(c, next) {
    const asked = parseJson(c.var.body);
    const { request, ignored } = parseResponsesRequest(asked);
    const input = readInput(request.input);
    const { messages, paths } = toMessages(input as Placed<Item>[], { instructions: request.instructions ?? null });
    // The cast: a request that was parsed is an object.
    c.set('body', writeChat(toChat(request, { asked: asked as Record<string, unknown>, messages })));
    await next();
    const { error } = c;
    if (error !== undefined) {
      if (error instanceof PlimsollError && error.param !== null) c.res = renderError(renamed(error, paths), c);
      return;
    }
    const base = responseBase(request, { id: newResponseId(), store: false });
    const { body, headers } = c.res;
    if (body === null) return;
    const isStream = request.stream === true;
    c.res = new Response(translateBody(body, { base, save: async () => false, isStream }), { headers });
    if (ignored.length > 0) c.res.headers.set('x-plimsoll-ignored', ignored.join(', '));
  };
}
