/**
 * Where the setting HOST_NAMES lists names, only requests to these are served. A local stack has
 * keys that everybody knows, and a page in its user's browser could reach it under a name of the
 * page's own that resolves to this machine (DNS rebinding): to the browser it is then one site. A
 * deployment leaves the setting out, because there the platform routes by name. Ports do not
 * matter: a page cannot choose the name, and an ssh tunnel may well end at another port.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Middleware } from './context.ts';

/** Runs before everything that reads settings or bodies. */
export function onlyOwnHostNames(): Middleware {
  return async function hostNames(c, next) {
    const { HOST_NAMES } = c.env;
    if (HOST_NAMES !== undefined) {
      const names = HOST_NAMES.split(',');
      // The header, not the URL: a proxy in front may have made up a URL of its own.
      const host = c.req.header('host') ?? new URL(c.req.url).host;
      if (!names.includes(nameOf(host))) {
        throw new PlimsollError(
          'permission_denied',
          `Nothing is served here for this host, only for ${names.join(', ')}.`,
        );
      }
    }
    await next();
  };
}

/** The name without the port; `[::1]:80` is `[::1]`. */
const nameOf = (host: string) => host.toLowerCase().replace(/:\d+$/, '');
