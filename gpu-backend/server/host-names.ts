/**
 * Under `serve`, a backend listens on its user's machine, where a page in the browser can reach it
 * under a name of the page's own that resolves to this machine (DNS rebinding), and read its
 * metrics. So it can be told which names to answer to. Ports do not matter: a page cannot choose
 * the name.
 */
import type { MiddlewareHandler } from 'hono';
import { PlimsollError } from '#shared/api/errors.ts';

/** Null: any name, as behind a load balancer. */
export function onlyOwnHostNames(names: readonly string[] | null): MiddlewareHandler {
  return async function hostNames(c, next) {
    const name = (c.req.header('host') ?? '').toLowerCase().replace(/:\d+$/, '');
    if (names !== null && !names.includes(name)) {
      throw new PlimsollError(
        'permission_denied',
        `Nothing is served here for this host, only for ${names.join(', ')}.`,
      );
    }
    await next();
  };
}
