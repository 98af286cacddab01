import { parseHostNames, refuseForeignHost } from '#shared/api/host-names.ts';
import type { Middleware } from './context.ts';

/**
 * If the setting HOST_NAMES lists names, we serve only requests to these. The check runs before
 * anything that reads settings or bodies. A local stack lists its own names, because it has keys
 * that everybody knows. A deployment leaves the setting out, because the platform routes by name
 * there.
 */
export function onlyOwnHostNames(): Middleware {
  return async function hostNames(c, next) {
    const { HOST_NAMES } = c.env;
    // We read the header rather than the URL, because a proxy in front may have made up a URL of
    // its own.
    if (HOST_NAMES !== undefined)
      refuseForeignHost(c.req.header('host') ?? new URL(c.req.url).host, parseHostNames(HOST_NAMES));
    await next();
  };
}
