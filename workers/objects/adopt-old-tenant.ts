/** What the old store held of a tenant, as rows of the tenant's own object. */
import type { AuditEntry } from './audit-chain.ts';
import { writeAudit } from './audit-rows.ts';
import type { OldTenant } from './tenant-contracts.ts';
import { writeActivation, writePolicy, writeState } from './tenant-rows.ts';

/** Notes that this was done, also if the old store knew nothing. Call it inside a transaction. */
export function adoptOldTenant(
  sql: SqlStorage,
  tenant: string,
  { old, entries }: { old: OldTenant | null; entries: readonly AuditEntry[] },
): void {
  sql.exec('INSERT INTO adopted (at) VALUES (?)', new Date().toISOString());
  if (old === null) return;
  const at = old.updated_at;
  for (const { version, document, created_at } of old.policies) {
    writePolicy(sql, { version, document }, created_at);
  }
  const [first] = old.audit;
  const activation = { seq: 1, at, actor: 'operator', version: old.policy_version, share: 1, previous: null };
  writeActivation(sql, activation);
  writeState(sql, tenant, {
    name: old.name,
    plan: null,
    policy_version: old.policy_version,
    activation: activation.seq,
    canary: null,
    suspended: null,
    deleted_at: null,
    created_at: first?.at ?? at,
    updated_at: at,
    revision: Math.max(1, entries.length),
    keys: old.keys.map((key) => ({
      ...key,
      scopes: ['inference'],
      expires_at: null,
      policy_version: null,
      replaces: null,
    })),
  });
  for (const entry of entries) writeAudit(sql, entry);
}
