/** Where somebody gives a key and gets a session in its place. The key is kept nowhere. */
import { useState } from 'preact/hooks';
import type { ApiError } from '../net/api.ts';
import { asApiError, useAnswer } from '../net/use-answer.ts';
import { Mark } from '../parts/mark.tsx';
import { ErrorNotice } from '../parts/notice.tsx';

/** What `GET /` says. Only a local stack names keys. */
async function demoKeys(signal: AbortSignal): Promise<string[]> {
  const answer = await fetch('/', { headers: { accept: 'application/json' }, signal });
  const about: unknown = await answer.json();
  const keys = typeof about === 'object' && about !== null && 'demo_keys' in about ? about.demo_keys : [];
  return Array.isArray(keys) ? keys.map(String) : [];
}

export function SignIn({ why, signIn }: { why: string | null; signIn: (key: string) => Promise<void> }) {
  const [key, setKey] = useState('');
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const demo = useAnswer(demoKeys, []);

  const enter = async (given: string) => {
    setBusy(true);
    setError(null);
    try {
      await signIn(given);
    } catch (thrown) {
      setError(asApiError(thrown));
      setBusy(false);
    }
  };

  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <Mark size={72} />
        <h1>Plimsoll</h1>
        <p class="lede">Every answer has a line that its decoding may not cross.</p>
        {why !== null && <p class="notice">{why}</p>}
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void enter(key);
          }}
        >
          <label for="key">API key</label>
          <input
            id="key"
            type="password"
            autocomplete="current-password"
            spellcheck={false}
            required
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
          <button type="submit" class="primary" disabled={busy || key === ''}>
            {busy ? 'Signing in …' : 'Sign in'}
          </button>
        </form>
        {error !== null && <ErrorNotice error={error} />}
        {(demo.value ?? []).length > 0 && (
          <section class="demo-keys" aria-label="Demo keys">
            <p class="small">This is a local stack. Its keys are public:</p>
            <ul>
              {demo.value?.map((each) => (
                <li key={each}>
                  <button type="button" class="quiet" disabled={busy} onClick={() => void enter(each)}>
                    {each}
                  </button>
                </li>
              ))}
            </ul>
          </section>
        )}
        <p class="small fine-print">
          The browser gets a cookie for an hour in place of the key, and no script can read it. A key that is revoked
          ends its sessions.
        </p>
      </div>
    </main>
  );
}
