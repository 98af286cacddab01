/**
 * Which names a server of ours answers to. On its user's machine a page in the browser can reach it
 * under a name of the page's own that resolves to this machine (DNS rebinding): to the browser it is
 * then one site. Ports do not matter: a page cannot choose the name, and an ssh tunnel may well end
 * at another port.
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

/** `host`: a request's `Host` header. Throws 403 `permission_denied` unless its name is one of `names`. */
export function refuseForeignHost(host: string, names: readonly string[]): void {
  // `[::1]:80` is `[::1]`.
  const name = host.toLowerCase().replace(/:\d+$/, '');
  if (names.includes(name)) return;
  throw new PlimsollError('permission_denied', `Nothing is served here for this host, only for ${names.join(', ')}.`);
}
