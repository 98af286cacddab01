import { parseHostNames, refuseForeignHost } from '#shared/api/host-names.ts';
import type { Middleware } from './context.ts';

/**
 * Where the setting HOST_NAMES lists names, only requests to these are served; runs before everything
 * that reads settings or bodies. A local stack lists its own, since it has keys that everybody knows. A
 * deployment leaves the setting out, because there the platform routes by name.
 */
export function onlyOwnHostNames(): Middleware {
  return async function hostNames(c, next) {
    const { HOST_NAMES } = c.env;
    // The header, not the URL: a proxy in front may have made up a URL of its own.
    if (HOST_NAMES !== undefined)
      refuseForeignHost(c.req.header('host') ?? new URL(c.req.url).host, parseHostNames(HOST_NAMES));
    await next();
  };
}
