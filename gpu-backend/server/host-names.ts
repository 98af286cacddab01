import type { MiddlewareHandler } from 'hono';
import { refuseForeignHost } from '#shared/api/host-names.ts';

/**
 * `serve` lists this machine's names, so that no web page can read the metrics. null allows any
 * name, for example behind a load balancer.
 */
export function onlyOwnHostNames(names: readonly string[] | null): MiddlewareHandler {
  return async function hostNames(c, next) {
    if (names !== null) refuseForeignHost(c.req.header('host') ?? '', names);
    await next();
  };
}
