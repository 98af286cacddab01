/** Deleting a tenant: first what becomes of its data, and then its id, written out. */
import { useState } from 'preact/hooks';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';

type Fate = 'keep' | 'erase';

/** As in docs/admin-api.md, "Suspended and deleted". */
const BECOMES: readonly [what: string, keep: string, erase: string][] = [
  ['Its keys', 'work no more', 'work no more'],
  ['Policies and audit log', 'stay, and can be read', 'erased'],
  ['Account and usage', 'stay', 'erased'],
  ['Kept prompts, stored responses', 'erased', 'erased'],
  ['Log of the deployment', 'stays', 'stays: names and ids, no policy'],
  ['Its id', 'never used again', 'never used again'],
];

export function DeleteTenant({
  tenant: { id, name, state, revision, keys },
  onClose,
  onDone,
}: {
  tenant: TenantAnswer;
  onClose: () => void;
  onDone: (fate: Fate) => void;
}) {
  const isDeleted = state === 'deleted';
  const [fate, setFate] = useState<Fate>(isDeleted ? 'erase' : 'keep');
  const [typed, setTyped] = useState('');
  const { act, busy, error } = useAct();
  const remove = async () => {
    const at = `/admin/v1/tenants/${id}?data=${fate}`;
    if (await act(() => callJson(at, { method: 'DELETE', ifMatch: `"${revision}"` }))) onDone(fate);
  };
  return (
    <Sheet title={isDeleted ? `Erase what was kept of ${name}?` : `Delete ${name}?`} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed === id) void remove();
        }}
      >
        {!isDeleted && (
          <>
            <p>
              {keys.length === 0 && 'It has no key, so nobody can ask in its name now.'}
              {keys.length === 1 && 'Its one key stops working, everywhere within 70 seconds.'}
              {keys.length > 1 && `Its ${inWhole(keys.length)} keys stop working, everywhere within 70 seconds.`} To
              stop it for a while, suspend it.
            </p>
            <fieldset class="stack tight">
              <legend>What becomes of its data</legend>
              {(['keep', 'erase'] as const).map((each) => (
                <label key={each} class="check">
                  <input type="radio" name="fate" checked={fate === each} onChange={() => setFate(each)} />
                  <span>{each === 'keep' ? 'Keep what is its past' : 'Erase all of it'}</span>
                </label>
              ))}
            </fieldset>
          </>
        )}
        <dl class="fate">
          {BECOMES.map(([what, keep, erase]) => (
            <div key={what}>
              <dt>{what}</dt>
              <dd>{fate === 'keep' ? keep : erase}</dd>
            </div>
          ))}
        </dl>
        <p class="small">
          {fate === 'erase'
            ? 'It cannot be undone here. Backups that you have made keep what they have, and on Cloudflare whoever deploys could restore for 30 days.'
            : 'What is kept can be erased later.'}
        </p>
        <label>
          Its id, to confirm: <code>{id}</code>
          <input
            required
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        {error !== null && <ErrorNotice error={error} />}
        {error?.status === 503 && fate === 'erase' && (
          <p class="small">What was begun goes on by itself. Send it again to hear that all is erased.</p>
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={busy || typed !== id}>
            {fate === 'keep' ? 'Delete it' : isDeleted ? 'Erase it' : 'Delete and erase it'}
          </button>
        </div>
      </form>
    </Sheet>
  );
}
