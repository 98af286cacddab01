/** One tenant: how it stands, what it may ask for, and its keys. */
import { useState } from 'preact/hooks';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { addressOf, follow, go } from '../net/router.ts';
import { may, useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';
import { inShort, inTime, nats } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { Bounds } from './bounds.tsx';
import { DeleteTenant } from './delete-tenant.tsx';
import { EditTenant } from './edit-tenant.tsx';
import { Keys } from './keys.tsx';

export function TenantDetail({ id }: { id: string }) {
  const session = useSession();
  const tenant = useAnswer((signal) => callJson<TenantAnswer>(`/admin/v1/tenants/${id}`, { signal }), [id]);
  const { act, busy, error } = useAct();
  const [asking, setAsking] = useState<'change' | 'suspend' | 'delete' | null>(null);
  if (tenant.value === null) {
    return tenant.error === null ? (
      <Waiting what="Reading the tenant …" />
    ) : (
      <ErrorNotice error={tenant.error} again={tenant.again} />
    );
  }
  const { name, state, suspended, policy, policy_version, plan, keys, problem, canary } = tenant.value;
  const isOperator = session.kind === 'operator';
  const done = () => {
    setAsking(null);
    tenant.again();
  };
  const resume = () =>
    act(async () => {
      await callJson(`/admin/v1/tenants/${id}/resume`, { method: 'POST' });
      tenant.again();
    });
  return (
    <div class="page">
      <header class="page-head">
        <h1 dir="auto">{name}</h1>
        <code class="small">{id}</code>
        <span class={`state ${state === 'active' ? 'good' : 'bad'}`}>{state}</span>
        {isOperator && state !== 'deleted' && (
          <button type="button" onClick={() => setAsking('change')}>
            Name and plan
          </button>
        )}
        {isOperator && state === 'active' && (
          <button type="button" class="danger" onClick={() => setAsking('suspend')}>
            Suspend
          </button>
        )}
        {isOperator && state === 'suspended' && (
          <button type="button" disabled={busy} onClick={() => void resume()}>
            Let it in again
          </button>
        )}
        {isOperator && (
          <button type="button" class="danger" onClick={() => setAsking('delete')}>
            {state === 'deleted' ? 'Erase what was kept' : 'Delete'}
          </button>
        )}
      </header>
      {suspended !== null && (
        <p class="notice">
          Suspended {inTime(suspended.at)}
          {suspended.reason !== null && (
            <>
              : <bdi>{suspended.reason}</bdi>
            </>
          )}
          . All its keys are refused.
        </p>
      )}
      {problem !== null && <p class="notice error">The stored policy is broken, so the strictest holds: {problem}</p>}
      {error !== null && <ErrorNotice error={error} />}
      {state === 'deleted' && (
        <p class="notice">Deleted. What was kept of it is its policies, its log and its usage.</p>
      )}
      {asking === 'change' && <EditTenant tenant={tenant.value} onClose={() => setAsking(null)} onDone={done} />}
      {asking === 'suspend' && <Suspend id={id} name={name} onClose={() => setAsking(null)} onDone={done} />}
      {asking === 'delete' && (
        <DeleteTenant
          tenant={tenant.value}
          onClose={() => setAsking(null)}
          onDone={(fate) => (fate === 'erase' ? go('tenants') : done())}
        />
      )}
      <ul class="figures">
        <li>
          <span class="figure-name">floor</span>
          <span class="figure">{inShort(policy.floor)}</span>
        </li>
        <li>
          <span class="figure-name">budget</span>
          <span class="figure">
            {nats(policy.budget)} <span class="note">nats</span>
          </span>
        </li>
        <li>
          <span class="figure-name">plan</span>
          <span class="figure">{plan ?? 'none'}</span>
        </li>
        <li>
          <span class="figure-name">policy</span>
          <span class="figure">
            <a href={addressOf('policies', id)} onClick={(event) => follow(event, 'policies', id)}>
              <code>{policy_version.slice(0, 8)}</code>
            </a>
          </span>
          {canary !== null && <span class="small">and a canary</span>}
        </li>
      </ul>
      <Bounds tenant={tenant.value} canChange={may(session, 'admin') && state !== 'deleted'} onChange={tenant.again} />
      <Keys tenant={id} keys={keys} canChange={may(session, 'admin') && state !== 'deleted'} onChange={tenant.again} />
    </div>
  );
}

function Suspend({ id, name, onClose, onDone }: { id: string; name: string; onClose: () => void; onDone: () => void }) {
  const [reason, setReason] = useState('');
  const { act, busy, error } = useAct();
  const suspend = async () => {
    const body = reason.trim() === '' ? {} : { reason };
    if (await act(() => callJson(`/admin/v1/tenants/${id}/suspend`, { method: 'POST', body }))) onDone();
  };
  return (
    <Sheet title={`Suspend ${name}?`} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void suspend();
        }}
      >
        <p>All its keys are refused within 70 seconds, until you let it in again. Nothing is lost.</p>
        <label>
          Why
          <input maxLength={200} dir="auto" value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={busy}>
            Suspend it
          </button>
        </div>
      </form>
    </Sheet>
  );
}
