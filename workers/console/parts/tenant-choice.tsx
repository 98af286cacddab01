/** Whose page it is: an operator chooses, a tenant's key has one. */
import type { TenantAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { go } from '../net/router.ts';
import { useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';

/**
 * The tenant that the address names, or the first there is. null: none, or not known yet.
 *
 * @param options.all what to call the choice of no single tenant, where there is one
 */
export function useTenant(page: string, named: string | undefined, { all = null }: { all?: string | null } = {}) {
  const session = useSession();
  const list = useAnswer(
    async (signal) =>
      session.kind === 'operator'
        ? (await callJson<{ data: TenantAnswer[] }>('/admin/v1/tenants', { signal })).data
        : [],
    [session.kind],
  );
  const tenants = list.value ?? [];
  const first = all === null ? (tenants.find(({ state }) => state !== 'deleted')?.id ?? null) : null;
  const id = session.tenant ?? named ?? first;
  const choice =
    session.kind === 'operator' && tenants.length > 0 ? (
      <label class="inline">
        <span>Tenant</span>
        <select
          value={id ?? ''}
          onChange={({ currentTarget: { value } }) => (value === '' ? go(page) : go(page, value))}
        >
          {all !== null && <option value="">{all}</option>}
          {tenants.map((tenant) => (
            <option key={tenant.id} value={tenant.id}>
              {tenant.name}
              {tenant.state === 'active' ? '' : ` (${tenant.state})`}
            </option>
          ))}
        </select>
      </label>
    ) : null;
  return { id, choice, list };
}
