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

/** Where a proxy in front ends TLS, it says so. A client that lies about it fools only itself. */
function isSecure(req: AppContext['req']): boolean {
  return new URL(req.url).protocol === 'https:' || req.header('x-forwarded-proto') === 'https';
}
