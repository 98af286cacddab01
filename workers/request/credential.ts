/**
 * Whose key a request comes with: its own, in `Authorization`, or that of the console's session, in
 * a cookie. Either way what counts is the digest of the key, and everything behind it is the same.
 * So a session can do what its key can, and no longer than the key can. A request with a key is
 * never asked for a cookie.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { bearerToken } from './bearer-token.ts';
import type { AppContext } from './context.ts';
import { isEnded } from './ended-sessions.ts';
import { isNoKey } from './key-form.ts';
import { demandOwnPage } from './own-page.ts';
import { readSessionCookie } from './session-cookie.ts';
import { openSession, type Session } from './session-token.ts';

export type Credential = {
  /** SHA-256 of the key, in lower-case hex. */
  digest: string;
  /** It has the form of a key that we make, and is none. So nobody need be asked. */
  isNoKey: boolean;
  /** null: the request has the key itself. */
  session: Session | null;
};

export async function credentialOf(c: Pick<AppContext, 'req' | 'var' | 'env'>): Promise<Credential> {
  const authorization = c.req.header('authorization');
  const cookie = authorization === undefined ? readSessionCookie(c) : undefined;
  if (cookie === undefined) {
    const key = bearerToken(authorization);
    return { digest: await sha256Hex(key), isNoKey: await isNoKey(key), session: null };
  }
  demandOwnPage(c);
  const session = await openSession(cookie, c.var.config);
  if (session === null || (await isEnded(session, c.env))) throw sessionOver();
  return { digest: session.digest, isNoKey: false, session };
}

/**
 * Throws unless the key still is whose it was at the sign-in: a key can be taken from one tenant
 * and given to another.
 */
export function demandSameHolder({ session }: Pick<Credential, 'session'>, holder: string | null): void {
  if (session !== null && session.tenant !== holder) throw sessionOver();
}

export const sessionOver = () => new PlimsollError('expired_api_key', 'This session is over. Sign in again.');
