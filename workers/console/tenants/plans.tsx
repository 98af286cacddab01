/** Plans: a policy above those of its tenants, and who is on which. */
import { useState } from 'preact/hooks';
import type { PlanAnswer, TenantAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { addressOf, follow } from '../net/router.ts';
import { useAnswer } from '../net/use-answer.ts';
import { fromNow, inShort, inWhole, nats } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { PlanSheet } from './plan-sheet.tsx';

/** How many pages of tenants are looked through for who is on which plan. */
const MOST_PAGES = 10;

type Tenants = { data: TenantAnswer[]; has_more: boolean; last_id: string | null };

async function tenantsOfPlans(signal: AbortSignal): Promise<{ tenants: TenantAnswer[]; isWhole: boolean }> {
  const tenants: TenantAnswer[] = [];
  let after = '';
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const page = await callJson<Tenants>(`/admin/v1/tenants?after=${after}`, { signal });
    tenants.push(...page.data);
    if (!page.has_more || page.last_id === null) return { tenants, isWhole: true };
    after = page.last_id;
  }
  return { tenants, isWhole: false };
}

export function PlansPage() {
  const plans = useAnswer(
    async (signal) => (await callJson<{ data: PlanAnswer[] }>('/admin/v1/plans', { signal })).data,
    [],
  );
  const members = useAnswer(tenantsOfPlans, []);
  const [changing, setChanging] = useState<PlanAnswer | 'new' | null>(null);
  const [deleting, setDeleting] = useState<PlanAnswer | null>(null);
  const done = () => {
    setChanging(null);
    setDeleting(null);
    plans.again();
    members.again();
  };
  return (
    <div class="page">
      <header class="page-head">
        <h1>Plans</h1>
        <button type="button" class="primary" onClick={() => setChanging('new')}>
          New plan
        </button>
      </header>
      {changing !== null && (
        <PlanSheet plan={changing === 'new' ? null : changing} onClose={() => setChanging(null)} onDone={done} />
      )}
      {deleting !== null && <DeletePlan plan={deleting} onClose={() => setDeleting(null)} onDone={done} />}
      {plans.error !== null && <ErrorNotice error={plans.error} again={plans.again} />}
      {members.error !== null && <ErrorNotice error={members.error} again={members.again} />}
      {plans.value === null && plans.error === null && <Waiting what="Reading the plans …" />}
      {plans.value?.length === 0 && (
        <Empty title="No plan yet">
          <p>A plan bounds what all of its tenants’ own policies can allow: limits, above all.</p>
        </Empty>
      )}
      {plans.value !== null && plans.value.length > 0 && (
        <Scroll label="Plans">
          <table class="table">
            <thead>
              <tr>
                <th>plan</th>
                <th class="end">floor, at least</th>
                <th class="end">budget, at most</th>
                <th>limits</th>
                <th>on it</th>
                <th>changed</th>
                <th>
                  <span class="hidden">actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {plans.value.map((plan) => (
                <PlanRow
                  key={plan.id}
                  plan={plan}
                  tenants={members.value?.tenants.filter((tenant) => tenant.plan === plan.id) ?? null}
                  onChange={() => setChanging(plan)}
                  onDelete={() => setDeleting(plan)}
                />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {members.value?.isWhole === false && (
        <p class="small">Only the first {inWhole(members.value.tenants.length)} tenants were looked through.</p>
      )}
    </div>
  );
}

function PlanRow({
  plan: { id, name, policy, problem, updated_at },
  tenants,
  onChange,
  onDelete,
}: {
  plan: PlanAnswer;
  tenants: readonly TenantAnswer[] | null;
  onChange: () => void;
  onDelete: () => void;
}) {
  const limits = Object.entries<number | null>(policy.limits).flatMap(([limit, most]) =>
    most === null ? [] : [`${inWhole(most)} ${limit.replaceAll('_', ' ')}`],
  );
  return (
    <tr>
      <th scope="row">
        <bdi>{name}</bdi>
        <code class="block small">{id}</code>
        {problem !== null && <span class="small block">broken, so the strictest holds: {problem}</span>}
      </th>
      <td class="end number">{inShort(policy.floor)}</td>
      <td class="end number">{nats(policy.budget)}</td>
      <td>{limits.length === 0 ? 'none' : limits.join(', ')}</td>
      <td>
        {tenants === null ? '…' : tenants.length === 0 && 'nobody'}
        {tenants?.map((tenant, at) => (
          <span key={tenant.id}>
            {at > 0 && ', '}
            <a href={addressOf('tenants', tenant.id)} onClick={(event) => follow(event, 'tenants', tenant.id)}>
              <bdi>{tenant.name}</bdi>
            </a>
          </span>
        ))}
      </td>
      <td>{fromNow(updated_at)}</td>
      <td class="end">
        <button type="button" class="quiet" onClick={onChange}>
          Change<span class="hidden"> {id}</span>
        </button>
        <button type="button" class="quiet danger" onClick={onDelete}>
          Delete<span class="hidden"> {id}</span>
        </button>
      </td>
    </tr>
  );
}

function DeletePlan({
  plan: { id, name, revision },
  onClose,
  onDone,
}: {
  plan: PlanAnswer;
  onClose: () => void;
  onDone: () => void;
}) {
  const { act, busy, error } = useAct();
  const remove = async () => {
    const options = { method: 'DELETE', ifMatch: `"${revision}"` } as const;
    if (await act(() => callJson(`/admin/v1/plans/${id}`, options))) onDone();
  };
  return (
    <Sheet title={`Delete ${name}?`} onClose={onClose}>
      <div class="stack">
        <p>Nobody may be on it any more. Its policy is gone with it, and the log of the deployment tells of it.</p>
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="button" class="danger" disabled={busy} onClick={() => void remove()}>
            Delete it
          </button>
        </div>
      </div>
    </Sheet>
  );
}
