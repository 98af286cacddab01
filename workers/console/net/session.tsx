/** Who is signed in, for every part of the console. */
import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import type { SessionAnswer } from '../../session/session-answer.ts';
import { ApiError, callJson, onApiError } from './api.ts';

export type { SessionAnswer };

export type SessionState =
  | { state: 'asking' }
  /** Nobody is signed in. `why` is for people, if somebody was. */
  | { state: 'out'; why: string | null }
  | { state: 'unreachable'; error: ApiError }
  | { state: 'in'; session: SessionAnswer };

/** A session is renewed when so little of it is left and somebody is there. */
const RENEW_BEFORE_MS = 20 * 60 * 1000;
const LOOK_EVERY_MS = 15_000;

export function useSessionState() {
  const [now, setState] = useState<SessionState>({ state: 'asking' });

  const ask = async () => {
    try {
      setState({ state: 'in', session: await callJson<SessionAnswer>('/console/session') });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setState(error.status === 401 || error.status === 403 ? signedOut(error) : { state: 'unreachable', error });
    }
  };
  const signIn = async (key: string) => {
    const session = await callJson<SessionAnswer>('/console/session', { method: 'POST', body: { key } });
    setState({ state: 'in', session });
  };
  const signOut = async () => {
    await callJson('/console/session', { method: 'DELETE' });
    setState({ state: 'out', why: null });
  };

  useEffect(() => void ask(), []);
  useEffect(
    // A key that was revoked ends its session at the next call, whichever it is.
    () =>
      onApiError(
        (error) => error.status === 401 && setState((last) => (last.state === 'in' ? signedOut(error) : last)),
      ),
    [],
  );
  useEffect(() => {
    if (now.state !== 'in') return;
    const { expires_at, renewable_until } = now.session;
    const timer = setInterval(() => {
      const leftMs = Date.parse(expires_at) - Date.now();
      if (leftMs <= 0) return setState({ state: 'out', why: 'Your session is over. Sign in again.' });
      const canRenew = expires_at < renewable_until && document.visibilityState === 'visible';
      if (leftMs > RENEW_BEFORE_MS || !canRenew) return;
      callJson<SessionAnswer>('/console/session', { method: 'PUT' })
        .then((session) => setState({ state: 'in', session }))
        // It goes on until it ends by itself.
        .catch(() => undefined);
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [now]);

  return { now, ask, signIn, signOut };
}

function signedOut({ code, message }: ApiError): SessionState {
  const isNobody = message === 'Nobody is signed in.';
  return { state: 'out', why: isNobody ? null : code === 'invalid_api_key' ? 'This key works no more.' : message };
}

const SessionContext = createContext<SessionAnswer | null>(null);
export const SessionProvider = SessionContext.Provider;

/** Only below a `SessionProvider`. */
export function useSession(): SessionAnswer {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('nobody is signed in here');
  return session;
}

/** Whether the key that signed in may do this. */
export function may(session: SessionAnswer, scope: SessionAnswer['scopes'][number]): boolean {
  if (session.kind === 'operator') return true;
  return session.scopes.includes(scope) || (scope === 'read' && session.scopes.includes('admin'));
}
