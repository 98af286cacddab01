/** Names every request; the name is on every answer, in the log, in the directive and in the receipt. */
import type { Middleware } from './context.ts';

export function requestId(): Middleware {
  return async function requestId(c, next) {
    const id = `req_${crypto.randomUUID().replaceAll('-', '')}`;
    c.set('requestId', id);
    // After the routes, because an error's answer is a new Response that knows nothing of headers set before it.
    await next();
    c.res.headers.set('x-request-id', id);
  };
}
