/** The frame around every page: who is signed in, where one can go, and the page itself. */
import { useEffect, useRef } from 'preact/hooks';
import { addressOf, follow, go, usePath } from './net/router.ts';
import { type SessionAnswer, SessionProvider, useSessionState } from './net/session.tsx';
import { fromNow, inClock } from './net/words.ts';
import { PAGES, type Page } from './pages.tsx';
import { useAct } from './parts/act.ts';
import { forgetAll } from './parts/kept.ts';
import { Mark } from './parts/mark.tsx';
import { ErrorNotice, Waiting } from './parts/notice.tsx';
import { useOnline } from './parts/use-online.ts';
import { SignIn } from './sign-in/sign-in.tsx';

export function App() {
  const { now, ask, signIn, signOut } = useSessionState();
  if (now.state === 'asking') {
    return (
      <main class="sign-in">
        <Waiting what="Asking who is signed in …" />
      </main>
    );
  }
  if (now.state === 'unreachable') {
    return (
      <main class="sign-in">
        <ErrorNotice error={now.error} again={() => void ask()} />
      </main>
    );
  }
  if (now.state === 'out') return <SignIn why={now.why} signIn={signIn} />;
  return (
    <SessionProvider value={now.session}>
      <Frame session={now.session} signOut={signOut} />
    </SessionProvider>
  );
}

function Frame({ session, signOut }: { session: SessionAnswer; signOut: () => Promise<void> }) {
  const [name = '', ...rest] = usePath();
  const pages = PAGES.filter(({ isFor }) => isFor(session));
  const page = pages.find((each) => each.name === name) ?? pages[0];
  const online = useOnline();
  const leaving = useAct();
  const leave = () => void leaving.act(signOut);
  // What was kept is for whoever was signed in.
  useEffect(() => forgetAll, []);
  useEffect(() => {
    if (name === '' && page !== undefined) go(page.name);
    document.title = page === undefined ? 'Plimsoll' : `${page.title} · Plimsoll`;
  }, [name, page]);
  return (
    <>
      <a class="skip" href="#page">
        To the page
      </a>
      <header class="bar">
        <a class="brand" href={addressOf()} onClick={(event) => follow(event)}>
          <Mark />
          <span>Plimsoll</span>
        </a>
        <nav aria-label="Pages">
          {pages.map((each) => (
            <Tab key={each.name} page={each} current={each === page} />
          ))}
        </nav>
        <div class="who">
          <span class="who-name" dir="auto">
            {session.tenant ?? 'operator'}
            {session.key !== null && <span class="who-key"> / {session.key}</span>}
          </span>
          <span class="who-until" title={`Signed in until ${inClock(session.expires_at)}`}>
            until {inClock(session.expires_at)}
            <span class="hidden">, {fromNow(session.expires_at)}</span>
          </span>
          <button type="button" class="quiet" disabled={leaving.busy} onClick={leave}>
            Sign out
          </button>
        </div>
      </header>
      {!online && (
        <p class="offline" role="status">
          You are offline. What is here stays; what needs the edge waits.
        </p>
      )}
      {leaving.error !== null && (
        <div class="bar-notice">
          <ErrorNotice error={leaving.error} again={leave} />
        </div>
      )}
      <main id="page" tabIndex={-1}>
        {page !== undefined && <page.Page path={rest} />}
      </main>
    </>
  );
}

function Tab({ page: { name, title }, current }: { page: Page; current: boolean }) {
  const tab = useRef<HTMLAnchorElement>(null);
  // On a phone not all of them fit.
  useEffect(() => {
    if (current) tab.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [current]);
  return (
    <a
      ref={tab}
      href={addressOf(name)}
      aria-current={current ? 'page' : undefined}
      onClick={(event) => follow(event as MouseEvent, name)}
    >
      {title}
    </a>
  );
}
