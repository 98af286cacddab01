/**
 * Gives every request an id. The id is on every answer, in the log, in the directive and in the
 * receipt.
 */
import type { Middleware } from './context.ts';

export function requestId(): Middleware {
  return async function requestId(c, next) {
    const id = `req_${crypto.randomUUID().replaceAll('-', '')}`;
    c.set('requestId', id);
    // This runs after the routes, because the answer to an error is a new Response without the
    // headers set before it.
    await next();
    c.res.headers.set('x-request-id', id);
  };
}
