/** The cookie that holds a session: where it is looked for, and how it is set. */
import { parse, serialize } from 'hono/utils/cookie';
import type { AppContext } from './context.ts';

/**
 * The prefix makes browsers refuse a cookie that another name of the same domain has set, or one
 * that came without TLS.
 */
const SECURE_NAME = '__Host-plimsoll-session';
/** Without TLS, as on a local stack. */
const PLAIN_NAME = 'plimsoll-session';

export function readSessionCookie({ req }: Pick<AppContext, 'req'>): string | undefined {
  const name = isSecure(req) ? SECURE_NAME : PLAIN_NAME;
  return parse(req.header('cookie') ?? '', name)[name];
}

/** @param token null ends the cookie */
export function writeSessionCookie(
  token: string | null,
  { c, seconds }: { c: Pick<AppContext, 'req' | 'header'>; seconds: number },
): void {
  const secure = isSecure(c.req);
  const cookie = serialize(secure ? SECURE_NAME : PLAIN_NAME, token ?? '', {
    ...{ httpOnly: true, sameSite: 'Strict', secure, path: '/' },
    maxAge: token === null ? 0 : seconds,
  });
  c.header('set-cookie', cookie, { append: true });
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether nobody on the way can read what comes: over TLS, or within this machine. */
export function isPrivate(req: AppContext['req']): boolean {
  return isSecure(req) || LOOPBACK.test(new URL(req.url).hostname);
}

/**
 * Where proxies in front end TLS, the first one says so first. A client that lies about it fools
 * only itself.
 */
export function isSecure(req: AppContext['req']): boolean {
  const [first] = (req.header('x-forwarded-proto') ?? '').split(',');
  return new URL(req.url).protocol === 'https:' || first?.trim() === 'https';
}
