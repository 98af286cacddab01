/** A tenant's name and plan. Its policy has a page of its own. */
import { useState } from 'preact/hooks';
import type { PlanAnswer, TenantAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { NameField } from './name-field.tsx';

export function EditTenant({
  tenant,
  onClose,
  onDone,
}: {
  tenant: TenantAnswer;
  onClose: () => void;
  onDone: () => void;
}) {
  const [name, setName] = useState(tenant.name);
  const [plan, setPlan] = useState(tenant.plan ?? '');
  const plans = useAnswer(
    async (signal) => (await callJson<{ data: PlanAnswer[] }>('/admin/v1/plans', { signal })).data,
    [],
  );
  const { act, busy, error } = useAct();
  const save = async () => {
    const body = { name, plan: plan === '' ? null : plan };
    const ifMatch = `"${tenant.revision}"`;
    if (await act(() => callJson(`/admin/v1/tenants/${tenant.id}`, { method: 'PATCH', body, ifMatch }))) onDone();
  };
  return (
    <Sheet title={`Change ${tenant.name}`} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <NameField name={name} onName={setName} />
        <label>
          Plan
          <select value={plan} onChange={(event) => setPlan(event.currentTarget.value)}>
            <option value="">none</option>
            {plan !== '' && plans.value === null && <option value={plan}>{plan}</option>}
            {(plans.value ?? []).map(({ id, name }) => (
              <option key={id} value={id}>
                {name} ({id})
              </option>
            ))}
          </select>
        </label>
        <p class="small">
          What a plan allows bounds what the tenant’s own policy can. It holds everywhere within 70 seconds.
        </p>
        {plans.error !== null && <ErrorNotice error={plans.error} again={plans.again} />}
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || name.trim() === ''}>
            Save
          </button>
        </div>
      </form>
    </Sheet>
  );
}
