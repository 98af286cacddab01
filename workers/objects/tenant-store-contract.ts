/**
 * The tenant store as the rest of the Worker sees it. This file uses no platform type, so code that
 * only calls the store also type-checks under Node.
 */
import type { TenantDocument, TenantSnapshot } from './tenant-record.ts';

export type TenantSummary = {
  id: string;
  name: string;
  policy_version: string;
  policy: string | null;
  keys: { id: string; sha256: string }[];
};

export type AuditRow = { at: string; actor: string; action: string; tenant: string; detail: string };

/**
 * Errors lose their class on the way out of a Durable Object, so what can go wrong is part of the
 * result.
 */
export type PutResult =
  | { conflict: true; keyIndex: number }
  | { conflict: false; changed: boolean; version: string; removedKeys: string[] };

export interface TenantStoreContract {
  resolveKey(sha256: string): Promise<TenantSnapshot | null>;
  /**
   * Replaces a tenant as a whole. If it equals the stored one, nothing changes and no audit row is
   * written.
   */
  putTenant(id: string, document: TenantDocument, actor: string): Promise<PutResult>;
  listTenants(): Promise<TenantSummary[]>;
  /** The latest changes, newest first. */
  listAudit(limit: number): Promise<AuditRow[]>;
}

export type TenantStoreBinding = { TENANT_STORE: { getByName(name: string): TenantStoreContract } };

/** The one object that holds all tenants. */
export function tenantStore(env: TenantStoreBinding): TenantStoreContract {
  return env.TENANT_STORE.getByName('tenants');
}
