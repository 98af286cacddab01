/** All tenants, for an operator; one tenant and its keys, for whoever may see it. */
import { useState } from 'preact/hooks';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { addressOf, follow, go } from '../net/router.ts';
import { useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';
import { fromNow, inShort, nats } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { NameField } from './name-field.tsx';
import { TenantDetail } from './tenant-detail.tsx';

export function TenantsPage({ path: [named] }: { path: string[] }) {
  const session = useSession();
  const id = session.tenant ?? named;
  return id === undefined ? <List /> : <TenantDetail key={id} id={id} />;
}

type TenantsPageAnswer = { data: TenantAnswer[]; has_more: boolean; last_id: string | null };

function List() {
  const [after, setAfter] = useState<string[]>([]);
  const tenants = useAnswer(
    (signal) => callJson<TenantsPageAnswer>(`/admin/v1/tenants?after=${after.at(-1) ?? ''}`, { signal }),
    [after],
  );
  const [creating, setCreating] = useState(false);
  const { value, error, again } = tenants;
  return (
    <div class="page">
      <header class="page-head">
        <h1>Tenants</h1>
        <button type="button" class="primary" onClick={() => setCreating(true)}>
          New tenant
        </button>
      </header>
      {creating && <NewTenant onClose={() => setCreating(false)} />}
      {error !== null && <ErrorNotice error={error} again={again} />}
      {value === null && error === null && <Waiting what="Reading the tenants …" />}
      {value?.data.length === 0 && (
        <Empty title="No tenant yet">
          <p>A tenant has a policy and keys. Its first policy can be as strict as can be.</p>
        </Empty>
      )}
      {value !== null && value.data.length > 0 && (
        <Scroll label="Tenants">
          <table class="table">
            <thead>
              <tr>
                <th>tenant</th>
                <th>state</th>
                <th class="end">floor</th>
                <th class="end">budget</th>
                <th>plan</th>
                <th class="end">keys</th>
                <th>changed</th>
              </tr>
            </thead>
            <tbody>
              {value.data.map(({ id, name, state, policy, plan, keys, updated_at }) => (
                <tr key={id}>
                  <th scope="row">
                    <a href={addressOf('tenants', id)} onClick={(event) => follow(event, 'tenants', id)}>
                      <bdi>{name}</bdi>
                    </a>
                    <code class="block small">{id}</code>
                  </th>
                  <td>
                    <span class={`state ${state === 'active' ? 'good' : 'bad'}`}>{state}</span>
                  </td>
                  <td class="end number">{inShort(policy.floor)}</td>
                  <td class="end number">{nats(policy.budget)}</td>
                  <td>{plan ?? 'none'}</td>
                  <td class="end number">{keys.length}</td>
                  <td>{fromNow(updated_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <div class="pager">
        {after.length > 0 && (
          <button type="button" onClick={() => setAfter((last) => last.slice(0, -1))}>
            Back
          </button>
        )}
        {value?.has_more === true && value.last_id !== null && (
          <button type="button" onClick={() => setAfter((last) => [...last, value.last_id ?? ''])}>
            More
          </button>
        )}
      </div>
    </div>
  );
}

/** As strict as can be, until another policy is activated. */
const STRICTEST = { floor: 1, budget: 0 };

function NewTenant({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [id, setId] = useState<string | null>(null);
  const { act, busy, error } = useAct();
  const chosen = id ?? idFrom(name);
  const create = async () => {
    const made = await act(() =>
      callJson('/admin/v1/tenants', { method: 'POST', body: { id: chosen, name, policy: STRICTEST } }),
    );
    if (made) go('tenants', chosen);
  };
  return (
    <Sheet title="New tenant" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <NameField name={name} onName={setName} />
        <label>
          Id
          <input
            required
            pattern="[a-z0-9][a-z0-9_\-]{0,63}"
            spellcheck={false}
            value={chosen}
            onInput={(event) => setId(event.currentTarget.value)}
          />
        </label>
        <p class="small">Receipts name the id, so it is never used again.</p>
        <p class="small">The tenant begins under the strictest policy: the safety expert answers alone.</p>
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || chosen === ''}>
            Make it
          </button>
        </div>
      </form>
    </Sheet>
  );
}

const idFrom = (name: string) =>
  name
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 64);
