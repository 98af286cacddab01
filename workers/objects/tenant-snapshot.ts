/** What is read of a tenant's rows for a request with one of its keys, and for the admin API. */
import type { TenantView } from './tenant-contracts.ts';
import type { SnapshotLevel, TenantSnapshot } from './tenant-record.ts';
import { documentOf, readKey, readState } from './tenant-rows.ts';
import type { TenantState } from './tenant-state.ts';

/** null if the key opens nothing. */
export function readSnapshot(sql: SqlStorage, tenant: string, keySha256: string): TenantSnapshot | null {
  const key = readKey(sql, keySha256);
  if (key === null) return null;
  // Without a tenant there is no policy, and the strictest one stands in for it.
  const state = readState(sql);
  // It has no keys any more. Whatever row is left, it opens nothing.
  if ((state?.deleted_at ?? null) !== null) return null;
  const text = (version: string | null) => ({ version, document: documentOf(sql, version) });
  const levels: SnapshotLevel[] = [{ level: 'tenant', ...text(state?.policy_version ?? null) }];
  if (key.policy_version !== null) levels.push({ level: 'key', ...text(key.policy_version) });
  const canary = state?.canary ?? null;
  return {
    tenant,
    key: key.id,
    plan: state?.plan ?? null,
    suspended: (state?.suspended ?? null) !== null,
    expires_at: key.expires_at === null ? null : Date.parse(key.expires_at),
    scopes: key.scopes,
    counted: (state?.keys ?? []).some(({ policy_version }) => policy_version !== null),
    levels,
    canary: canary === null ? null : { ...text(canary.version), share: canary.share },
  };
}

export function readView(sql: SqlStorage, tenant: string, state: TenantState | null): TenantView | null {
  if (state === null) return null;
  const { activation: _, ...rest } = state;
  return { id: tenant, ...rest, policy: documentOf(sql, state.policy_version) };
}
