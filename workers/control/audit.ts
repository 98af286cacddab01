/** The audit log: of the whole deployment, for its operator, and of one tenant, for itself. */
import type { AuditEntry, AuditHead, WitnessedVerdict } from '../objects/audit-chain.ts';
import { tenantIndex, tenantObject } from '../objects/tenant-contracts.ts';
import { asking, demandTenant, type OperatorContext, type TenantContext } from './tenants.ts';

type Page = { limit: number; before?: number | undefined };

/** The latest changes, newest first. */
export async function listAudit(page: Page, c: OperatorContext) {
  return (await asking(() => tenantIndex(c.env).listAudit(toPage(page)))).map(describe);
}

export async function listTenantAudit(page: Page, c: TenantContext) {
  await demandTenant(c);
  const { tenant } = c.var.access;
  return (await asking(() => tenantObject(c.env, tenant).listAudit(tenant, toPage(page)))).map(describe);
}

/**
 * Also whether the log still ends at, or after, the entry that its witness knows.
 *
 * @param known a head that somebody noted earlier
 */
export function verifyAudit(known: AuditHead | null, c: OperatorContext): Promise<WitnessedVerdict> {
  return asking(() => tenantIndex(c.env).verifyAudit(known));
}

/** Also whether the log still ends at, or after, the entry that the index knows. */
export async function verifyTenantAudit(c: TenantContext): Promise<WitnessedVerdict> {
  await demandTenant(c);
  const { tenant } = c.var.access;
  return asking(() => tenantObject(c.env, tenant).verifyAudit(tenant));
}

const toPage = ({ limit, before }: Page) => ({ limit, before: before ?? null });

function describe(entry: AuditEntry) {
  // Our own text, so it parses.
  return { ...entry, detail: JSON.parse(entry.detail) as unknown };
}
