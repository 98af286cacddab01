/** `/admin/v1/tenants` and `/admin/v1/audit`. */
import { effectivePolicy } from '#policies/effective.ts';
import type { Policy } from '#policies/schema.ts';
import { readStoredPolicy } from '#policies/version.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import { Id, TenantDocument } from '../objects/tenant-record.ts';
import { tenantStore } from '../objects/tenant-store-contract.ts';
import type { AppContext } from '../request/context.ts';
import { parseJsonBody } from '../request/read-body.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';

const AUDIT_ROWS = 100;

/** Creates or replaces a tenant, whole. The same document twice is one change. */
export function putTenant(directory: TenantDirectory) {
  return async (c: AppContext): Promise<Response> => {
    const id = parseId(c.req.param('id'));
    const document = parseRequest(TenantDocument, parseJsonBody(c));
    const result = await tenantStore(c.env).putTenant(id, document, 'operator');
    if (result.conflict) {
      throw new PlimsollError('invalid_request', 'This key belongs to another tenant.', {
        param: `keys[${result.keyIndex}].sha256`,
      });
    }
    const current = document.keys.map(({ sha256 }) => sha256);
    await directory.refresh({ current, removed: result.removedKeys }, c.env);
    return c.json({ id, name: document.name, policy_version: result.version, changed: result.changed });
  };
}

/**
 * A tenant whose stored policy is broken is listed with the policy in force, the strictest, and the problem.
 * `effective_version` is what its answers and receipts name: its policy joined with the operator's.
 */
export function listTenants(operatorPolicy: Policy) {
  return async (c: AppContext): Promise<Response> => {
    const tenants = await tenantStore(c.env).listTenants();
    const data = await Promise.all(
      tenants.map(async ({ policy: text, ...tenant }) => {
        const stored = await readStoredPolicy(text, tenant.policy_version);
        const { version } = await effectivePolicy(operatorPolicy, stored);
        return { ...tenant, effective_version: version, policy: stored.policy, problem: stored.problem };
      }),
    );
    return c.json({ object: 'list', data });
  };
}

/** The latest changes, newest first. */
export function listAudit() {
  return async (c: AppContext): Promise<Response> => {
    const rows = await tenantStore(c.env).listAudit(AUDIT_ROWS);
    return c.json({ object: 'list', data: rows.map((row) => ({ ...row, detail: JSON.parse(row.detail) as unknown })) });
  };
}

function parseId(id: string | undefined): string {
  const parsed = Id.safeParse(id);
  if (parsed.success) return parsed.data;
  throw new PlimsollError('invalid_request', "A tenant's id is up to 64 of a-z, 0-9, '-' and '_'.", { param: 'id' });
}
