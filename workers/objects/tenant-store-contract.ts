/**
 * The tenant store as the rest of the Worker sees it. It names no type of the platform's, so that code which only calls the
 * store type-checks under Node too.
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

/** Errors do not keep their class across a call to an object, so what can go wrong is part of the answer. */
export type PutResult =
  | { conflict: true; keyIndex: number }
  | { conflict: false; changed: boolean; version: string; removedKeys: string[] };

export interface TenantStoreContract {
  resolveKey(sha256: string): Promise<TenantSnapshot | null>;
  /** Replaces a tenant whole; what equals the stored one changes nothing and leaves no audit row. */
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
