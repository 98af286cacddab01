/**
 * What `/admin/v1/tenants` and `/admin/v1/audit` do. Each function takes a context that only
 * `requireOperator` makes, so a route without it does not compile.
 */
import type { MiddlewareHandler } from 'hono';
import { effectivePolicy } from '#policies/effective.ts';
import type { Policy } from '#policies/schema.ts';
import { readStoredPolicy } from '#policies/version.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseTenantId, type TenantDocument } from '../objects/tenant-record.ts';
import { tenantStore } from '../objects/tenant-store-contract.ts';
import type { AppContext, AppEnv, OperatorEnv } from '../request/context.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';

type OperatorContext = Pick<AppContext<OperatorEnv>, 'env' | 'var'>;

const AUDIT_ROWS = 100;

/** Creates a tenant or replaces it as a whole. Putting the same document twice makes one change. */
export async function putTenant(
  { id, document }: { id: string; document: TenantDocument },
  { c, directory }: { c: OperatorContext; directory: TenantDirectory },
) {
  const result = await tenantStore(c.env).putTenant(id, document, c.var.operator);
  if (result.conflict) {
    throw new PlimsollError('invalid_request', 'This key belongs to another tenant.', {
      param: `keys[${result.keyIndex}].sha256`,
    });
  }
  const current = document.keys.map(({ sha256 }) => sha256);
  await directory.refresh({ current, removed: result.removedKeys }, c.env);
  return { id, name: document.name, policy_version: result.version, changed: result.changed };
}

/**
 * If a tenant's stored policy is broken, the list shows the problem and the policy in force, which
 * is the strictest. `effective_version` is what the tenant's answers and receipts name: the version
 * of its policy joined with the operator's.
 */
export async function listTenants(c: OperatorContext, operatorPolicy: Policy) {
  const tenants = await tenantStore(c.env).listTenants();
  return Promise.all(
    tenants.map(async ({ policy: text, ...tenant }) => {
      const stored = await readStoredPolicy(text, tenant.policy_version);
      const operator = { level: 'operator', version: null, policy: operatorPolicy, problem: null } as const;
      const { version } = await effectivePolicy([operator, { level: 'tenant', ...stored }]);
      return { ...tenant, effective_version: version, policy: stored.policy, problem: stored.problem };
    }),
  );
}

/** The latest changes, newest first. */
export async function listAudit(c: OperatorContext) {
  const rows = await tenantStore(c.env).listAudit(AUDIT_ROWS);
  return rows.map((row) => ({ ...row, detail: JSON.parse(row.detail) as unknown }));
}

type IdParam = { param: { id: string } };

export function validTenantId(): MiddlewareHandler<AppEnv, string, { in: IdParam; out: IdParam }> {
  return async function validTenantId(c, next) {
    c.req.addValidatedData('param', { id: parseTenantId(c.req.param('id')) });
    await next();
  };
}
