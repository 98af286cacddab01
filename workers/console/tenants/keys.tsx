/** A tenant's keys: made, shown once, replaced and revoked. */
import { useState } from 'preact/hooks';
import type { KeyAnswer, NewKeyAnswer, RotationAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useSession } from '../net/session.tsx';
import { fromNow, inTime } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { CopyButton } from '../parts/copy-button.tsx';
import { Empty, ErrorNotice } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { NewKeySheet } from './new-key.tsx';

type Asking = { what: 'revoke' | 'rotate'; key: KeyAnswer } | null;

export function Keys({
  tenant,
  keys,
  canChange,
  onChange,
}: {
  tenant: string;
  keys: readonly KeyAnswer[];
  canChange: boolean;
  onChange: () => void;
}) {
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<NewKeyAnswer | null>(null);
  const [asking, setAsking] = useState<Asking>(null);
  const show = (key: NewKeyAnswer) => {
    setMaking(false);
    setAsking(null);
    setMade(key);
    onChange();
  };
  return (
    <section class="stack">
      <header class="page-head">
        <h2>Keys</h2>
        {canChange && (
          <button type="button" class="primary" onClick={() => setMaking(true)}>
            New key
          </button>
        )}
      </header>
      {made !== null && <Made made={made} onClose={() => setMade(null)} />}
      {making && <NewKeySheet tenant={tenant} onClose={() => setMaking(false)} onMade={show} />}
      {asking !== null && (
        <KeySheet
          tenant={tenant}
          asking={asking}
          onClose={() => setAsking(null)}
          onRotated={show}
          onRevoked={() => {
            setAsking(null);
            onChange();
          }}
        />
      )}
      {keys.length === 0 ? (
        <Empty title="No key yet">
          <p>Without one, no client can ask in this tenant’s name.</p>
        </Empty>
      ) : (
        <Scroll label="Keys">
          <table class="table">
            <thead>
              <tr>
                <th>key</th>
                <th>may</th>
                <th>made</th>
                <th>expires</th>
                <th>
                  <span class="hidden">actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {keys.map((key) => (
                <Row key={key.id} of={key} canChange={canChange} ask={setAsking} />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </section>
  );
}

function Row({ of: key, canChange, ask }: { of: KeyAnswer; canChange: boolean; ask: (asking: Asking) => void }) {
  const { id, scopes, created_at, expires_at, policy_version, replaces } = key;
  const session = useSession();
  const isOver = expires_at !== null && Date.parse(expires_at) <= Date.now();
  return (
    <tr class={isOver ? 'over' : undefined}>
      <th scope="row">
        <code>{id}</code>
        {session.key === id && <span class="small"> this session’s</span>}
        {replaces !== null && <span class="small block">in place of {replaces}</span>}
        {policy_version !== null && <span class="small block">with a policy of its own</span>}
      </th>
      <td>{scopes.join(', ')}</td>
      <td>
        <time dateTime={created_at} title={inTime(created_at)}>
          {fromNow(created_at)}
        </time>
      </td>
      <td>{expires_at === null ? 'never' : <time dateTime={expires_at}>{inTime(expires_at)}</time>}</td>
      <td class="end">
        {canChange && (
          <>
            <button type="button" class="quiet" onClick={() => ask({ what: 'rotate', key })}>
              Replace<span class="hidden"> {id}</span>
            </button>
            <button type="button" class="quiet danger" onClick={() => ask({ what: 'revoke', key })}>
              Revoke<span class="hidden"> {id}</span>
            </button>
          </>
        )}
      </td>
    </tr>
  );
}

/** The edge keeps only a digest, so this is the one moment. It is kept nowhere here either. */
function Made({ made: { id, key }, onClose }: { made: NewKeyAnswer; onClose: () => void }) {
  return (
    <div class="notice good" role="status">
      <p>
        The key <code>{id}</code>. It is shown only now.
      </p>
      <p class="wrap">
        <code class="new-key">{key}</code> <CopyButton text={key} />
      </p>
      <button type="button" class="quiet" onClick={onClose}>
        I have it
      </button>
    </div>
  );
}

/** How long an old key goes on beside its successor, in seconds. */
const OVERLAPS: [number, string][] = [
  [0, 'not at all'],
  [3600, 'an hour'],
  [86_400, 'a day'],
  [604_800, 'a week'],
];

function KeySheet({
  tenant,
  asking: { what, key },
  onClose,
  onRotated,
  onRevoked,
}: {
  tenant: string;
  asking: NonNullable<Asking>;
  onClose: () => void;
  onRotated: (key: NewKeyAnswer) => void;
  onRevoked: () => void;
}) {
  const session = useSession();
  const [overlap, setOverlap] = useState(3600);
  const [until, setUntil] = useState('');
  const { act, busy, error } = useAct();
  const at = `/admin/v1/tenants/${tenant}/keys/${key.id}`;
  const go = () =>
    act(async () => {
      if (what === 'revoke') {
        await callJson(at, { method: 'DELETE' });
        return onRevoked();
      }
      const body = {
        overlap_seconds: overlap,
        ...(until !== '' && { expires_at: new Date(until).toISOString() }),
      };
      onRotated((await callJson<RotationAnswer>(`${at}/rotate`, { method: 'POST', body })).key);
    });
  return (
    <Sheet title={what === 'revoke' ? `Revoke ${key.id}?` : `Replace ${key.id}`} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void go();
        }}
      >
        {what === 'revoke' ? (
          <p>
            Whoever has it is refused, here at once and everywhere within 70 seconds. It cannot be undone.
            {session.key === key.id && ' It is the key of this session, which ends with it.'}
          </p>
        ) : (
          <>
            <label>
              The old one still works for
              <select value={overlap} onChange={(event) => setOverlap(Number(event.currentTarget.value))}>
                {OVERLAPS.map(([seconds, words]) => (
                  <option key={seconds} value={seconds}>
                    {words}
                  </option>
                ))}
              </select>
            </label>
            <label>
              The new one works until
              <input type="datetime-local" value={until} onInput={(event) => setUntil(event.currentTarget.value)} />
            </label>
            <p class="small">
              Left empty, it does not expire. It may do what the old one may ({key.scopes.join(', ')}).
            </p>
          </>
        )}
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={what === 'revoke' ? 'danger' : 'primary'} disabled={busy}>
            {what === 'revoke' ? 'Revoke it' : 'Make the new one'}
          </button>
        </div>
      </form>
    </Sheet>
  );
}
