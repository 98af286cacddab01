import { useState } from 'preact/hooks';
import type { NewKeyAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';

const SCOPES = {
  inference: 'ask the model',
  read: 'see this tenant, its keys’ names, its policies and its log',
  admin: 'change its keys and its policies',
  prompts: 'with admin: read the prompts that are kept',
} as const;
type Scope = keyof typeof SCOPES;

/** What a key may do and how long, before it is made. */
export function NewKeySheet({
  tenant,
  onClose,
  onMade,
}: {
  tenant: string;
  onClose: () => void;
  onMade: (key: NewKeyAnswer) => void;
}) {
  const [id, setId] = useState('');
  const [scopes, setScopes] = useState<readonly Scope[]>(['inference']);
  const [until, setUntil] = useState('');
  const { act, busy, error } = useAct();
  const create = () =>
    act(async () => {
      const body = {
        ...(id !== '' && { id }),
        scopes,
        ...(until !== '' && { expires_at: new Date(until).toISOString() }),
      };
      onMade(await callJson<NewKeyAnswer>(`/admin/v1/tenants/${tenant}/keys`, { method: 'POST', body }));
    });
  return (
    <Sheet title="New key" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <label>
          Name
          <input
            pattern="[a-z0-9][a-z0-9_\-]{0,63}"
            spellcheck={false}
            placeholder="the edge chooses one"
            value={id}
            onInput={(event) => setId(event.currentTarget.value)}
          />
        </label>
        <fieldset class="stack tight">
          <legend>It may</legend>
          {(Object.keys(SCOPES) as Scope[]).map((scope) => (
            <label key={scope} class="check">
              <input
                type="checkbox"
                checked={scopes.includes(scope)}
                onChange={({ currentTarget: { checked } }) =>
                  setScopes((last) => (checked ? [...last, scope] : last.filter((each) => each !== scope)))
                }
              />
              <span>
                <code>{scope}</code> <span class="small">{SCOPES[scope]}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <label>
          Until
          <input type="datetime-local" value={until} onInput={(event) => setUntil(event.currentTarget.value)} />
        </label>
        <p class="small">Left empty, the key does not expire.</p>
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || scopes.length === 0}>
            Make it
          </button>
        </div>
      </form>
    </Sheet>
  );
}
