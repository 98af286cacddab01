/**
 * `/console/session`: a person signs in with a key, and the browser gets a cookie in its place. The
 * key is looked for like any other, with the same bounds on wrong ones. Whether it still is a key,
 * and whose, is asked again at each request (request/credential.ts), so a session ends with it.
 */
import type * as z from 'zod';
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { admitAnyScope, wrongKey } from '../request/authenticate.ts';
import { clientAddress } from '../request/client-address.ts';
import type { AppContext, Middleware, OwnPageEnv } from '../request/context.ts';
import { sessionOver } from '../request/credential.ts';
import { endSession, isEnded } from '../request/ended-sessions.ts';
import { isNoKey } from '../request/key-form.ts';
import { isOperatorKey } from '../request/operator-key.ts';
import { demandOwnPage } from '../request/own-page.ts';
import { createRateBound, type RateBound } from '../request/rate-bound.ts';
import { isPrivate, readSessionCookie, writeSessionCookie } from '../request/session-cookie.ts';
import { LONGEST_SESSION_MS, openSession, SESSION_MS, type Session, sealSession } from '../request/session-token.ts';
import type { Caller, TenantDirectory } from '../request/tenant-directory.ts';
import type { KeyLine, SessionAnswer, SignIn } from './session-answer.ts';

/** Only pages of the console may ask, or another site could sign somebody in or out. */
export function fromOwnPage(): Middleware<OwnPageEnv> {
  return async function fromOwnPage(c, next) {
    demandOwnPage(c);
    c.set('ownPage', true);
    await next();
  };
}

export async function signIn({ key }: z.infer<typeof SignIn>, { c, directory, calls }: Asked): Promise<SessionAnswer> {
  if (await isNoKey(key)) throw wrongKey();
  if (!isPrivate(c.req)) {
    throw new PlimsollError('permission_denied', 'Keys are not taken over plain HTTP. Open the console over HTTPS.');
  }
  const digest = await sha256Hex(key);
  const caller = await holderOf(digest, { c, directory, calls });
  const beganAtMs = Date.now();
  const session: Session = {
    id: crypto.randomUUID(),
    digest,
    tenant: caller?.tenant ?? null,
    ...{ beganAtMs, untilMs: beganAtMs + SESSION_MS },
  };
  await giveCookie(session, c);
  return describe(session, caller);
}

export async function readSession(asked: Asked): Promise<SessionAnswer> {
  const session = await currentSession(asked.c);
  return describe(session, await sameHolder(session, asked));
}

/** Another hour, within the twelve that a session lasts at most. */
export async function renewSession(asked: Asked): Promise<SessionAnswer> {
  const session = await currentSession(asked.c);
  const caller = await sameHolder(session, asked);
  const untilMs = Math.min(Date.now() + SESSION_MS, session.beganAtMs + LONGEST_SESSION_MS);
  const renewed = { ...session, untilMs: Math.max(untilMs, session.untilMs) };
  await giveCookie(renewed, asked.c);
  return describe(renewed, caller);
}

/** Whatever the cookie is, and whatever fails, it is gone afterwards. */
export function clearCookie(): Middleware<OwnPageEnv> {
  return async function clearCookie(c, next) {
    await next();
    writeSessionCookie(null, { c, seconds: 0 });
  };
}

/** Ends every copy of the session's cookie, or says that it could not. */
export async function signOut({ c, calls }: Omit<Asked, 'directory'>): Promise<void> {
  const cookie = readSessionCookie(c);
  const session = cookie === undefined ? null : await openSession(cookie, c.var.config);
  if (session === null) return;
  demandRoom(calls, session.digest);
  await endSession(session, c.env);
}

/** What the routes have of a context, whatever else is in it. */
type OwnContext = Pick<AppContext, 'req' | 'env' | 'var' | 'header'>;
type Asked = { c: OwnContext; directory: TenantDirectory; calls: RateBound };

/** How often the sessions of a key may be asked for in a minute, in one isolate. */
const MOST_CALLS = 60;
/** Each call asks an object that all tenants share. Those of the operator's key ask nobody. */
export const boundOnSessions = () => createRateBound({ most: MOST_CALLS, periodMs: 60_000 });

function demandRoom(calls: RateBound, digest: string): void {
  const waitMs = calls.take(digest);
  if (waitMs === null) return;
  const retryAfterSeconds = Math.ceil(waitMs / 1000);
  const message = `The sessions of a key are asked for at most ${MOST_CALLS} times a minute. Try again in ${retryAfterSeconds} s.`;
  throw new PlimsollError('rate_limit_exceeded', message, { retryAfterSeconds });
}

async function currentSession(c: OwnContext): Promise<Session> {
  const cookie = readSessionCookie(c);
  if (cookie === undefined) throw new PlimsollError('invalid_api_key', 'Nobody is signed in.');
  const session = await openSession(cookie, c.var.config);
  if (session === null || (await isEnded(session, c.env))) throw sessionOver();
  return session;
}

async function sameHolder({ digest, tenant }: Session, asked: Asked): Promise<Caller | null> {
  const caller = await holderOf(digest, asked);
  if ((caller?.tenant ?? null) !== tenant) throw sessionOver();
  return caller;
}

/** Asks the truth, not a copy. null: it is the operator's key. */
async function holderOf(digest: string, { c, directory, calls }: Asked): Promise<Caller | null> {
  if (isOperatorKey(digest, c.var.config)) return null;
  demandRoom(calls, digest);
  const found = await directory.lookupTruth(digest, { env: c.env, address: clientAddress(c.req.raw) });
  return admitAnyScope(found, { now: Date.now() });
}

async function giveCookie(session: Session, c: OwnContext): Promise<void> {
  const token = await sealSession(session, c.var.config);
  writeSessionCookie(token, { c, seconds: Math.ceil((session.untilMs - Date.now()) / 1000) });
}

function describe({ beganAtMs, untilMs }: Session, caller: Caller | null): SessionAnswer {
  return {
    object: 'session',
    kind: caller === null ? 'operator' : 'tenant',
    tenant: caller?.tenant ?? null,
    key: caller?.key ?? null,
    scopes: [...(caller?.scopes ?? [])],
    line: caller === null ? null : lineOf(caller.policy),
    expires_at: new Date(untilMs).toISOString(),
    renewable_until: new Date(beganAtMs + LONGEST_SESSION_MS).toISOString(),
  };
}

function lineOf({ floor, ceiling, budget, action, trace, limits }: Policy): KeyLine {
  return { floor, ceiling, budget, action, trace, max_tokens: limits.max_tokens };
}
