/**
 * Keeps answers out of caches, errors too: where a session is the credential, since a browser may
 * keep what a signed-out person must not see, and where an answer is a stored response.
 */
import type { Middleware } from './context.ts';
import { readSessionCookie } from './session-cookie.ts';

export function noStore(): Middleware {
  return async function noStore(c, next) {
    await next();
    const { path } = c.req;
    const isFile = path === '/console' || (path.startsWith('/console/') && path !== '/console/session');
    const hasSession = c.req.header('authorization') === undefined && readSessionCookie(c) !== undefined;
    const isSecret = path === '/console/session' || path.startsWith('/v1/responses/') || hasSession;
    if (isSecret && !isFile) c.res.headers.set('cache-control', 'no-store');
  };
}
