/**
 * The host names our servers answer to. A web page in the user's own browser can reach a server on
 * the same machine through a domain of its own that resolves to this machine (DNS rebinding). To
 * the browser, page and server are then one site. So we check the name. We ignore the port: the
 * page cannot choose the name, and an ssh tunnel may well end at another port.
 */
import { PlimsollError } from './errors.ts';

/** `parseHostNames('A.test, b.test,')` is `['a.test', 'b.test']`. */
export function parseHostNames(list: string): string[] {
  return list
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/**
 * Throws 403 `permission_denied` unless the name in a request's `Host` header is one of `names`.
 */
export function refuseForeignHost(host: string, names: readonly string[]): void {
  // `[::1]:80` becomes `[::1]`.
  const name = host.toLowerCase().replace(/:\d+$/, '');
  if (names.includes(name)) return;
  throw new PlimsollError('permission_denied', `Nothing is served here for this host, only for ${names.join(', ')}.`);
}
