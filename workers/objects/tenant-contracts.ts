/**
 * The Durable Objects about tenants as the rest of the Worker sees them. This file uses no platform
 * type, so code that only calls them also type-checks under Node.
 */
import type { AuditEntry, AuditEvent, AuditHead, WitnessedVerdict } from './audit-chain.ts';
import type { IfMatch } from './if-match.ts';
import type { TenantSnapshot } from './tenant-record.ts';
import type { ActivationRecord, PolicyText, Refusal, TenantChange, TenantState } from './tenant-state.ts';

/** A plan as the index keeps it. */
export type PlanRecord = {
  id: string;
  name: string;
  policy_version: string;
  document: string | null;
  created_at: string;
  updated_at: string;
  revision: number;
};

/** What a tenant's object wants to be true in the index before it changes anything. */
export type Claim = {
  /** Digests of keys. */
  keys: readonly string[];
  plan: string | null;
  /** Also for a tenant that was deleted: a restore. */
  revive?: boolean;
};

export type ClaimResult = { granted: true } | { granted: false; reason: 'deleted' | 'plan' } | KeyConflict;
type KeyConflict = { granted: false; reason: 'key'; keyIndex: number; holder: string };

/** What is true of a tenant, as its object tells the index after a change. */
export type Settlement = {
  /** null: there is no such tenant. */
  state: 'live' | 'deleted' | 'erased' | null;
  keys: readonly string[];
  plan: string | null;
  /** The entries that the index may not know yet. It takes those that follow what it knows. */
  audit: readonly AuditEntry[];
};

export type TenantRow = { id: string; state: 'live' | 'deleted' | 'erased'; plan: string | null };

export interface TenantIndexContract {
  /** Whose key this is, and that tenant's plan as the index knows it. */
  locate(keySha256: string): Promise<{ tenant: string; plan: PlanRecord | null } | null>;
  /** All or nothing. Two tenants that claim one key at once: one gets it. */
  claim(tenant: string, claim: Claim): Promise<ClaimResult>;
  /** The head of the tenant's chain that the index knows. */
  auditHead(tenant: string): Promise<AuditHead>;
  settle(tenant: string, settlement: Settlement): Promise<void>;
  /**
   * Notes that an id was used elsewhere, by a tenant that is erased. Does nothing if it is known
   * here.
   */
  bury(tenant: string, options: { actor: string }): Promise<void>;
  tenant(id: string): Promise<TenantRow | null>;
  /** In the order of their ids, from the one after `after`. */
  listTenants(options: { after: string; limit: number }): Promise<TenantRow[]>;
  plan(id: string): Promise<PlanRecord | null>;
  listPlans(): Promise<PlanRecord[]>;
  putPlan(
    plan: { id: string; name: string; policy: PolicyText },
    options: { actor: string; ifMatch: IfMatch },
  ): Promise<{ refused: Refusal; plan: PlanRecord | null } | { refused: null; changed: boolean; plan: PlanRecord }>;
  deletePlan(id: string, options: { actor: string; ifMatch: IfMatch }): Promise<Refusal | null>;
  /** The latest entries of the whole deployment, newest first. */
  listAudit(options: { limit: number; before: number | null }): Promise<AuditEntry[]>;
  /** @param noted an entry that somebody knows besides the witness */
  verifyAudit(noted: AuditHead | null): Promise<WitnessedVerdict>;
}

/** Everything about a tenant but its policies' texts. */
export type TenantView = Omit<TenantState, 'activation'> & {
  id: string;
  /** The text of the active policy; null if it is lost. */
  policy: string | null;
};

export type ChangeResult =
  | { refused: Refusal; current: TenantView | null }
  | { refused: null; changed: boolean; tenant: TenantView; removedKeys: string[] };

export type PolicyRow = { version: string; created_at: string };
/** The latest 1,000 activations. */
export type PolicyHistory = { versions: PolicyRow[]; activations: ActivationRecord[] };

/**
 * A tenant as a backup holds it. Its history grows without end, so it goes in parts of its own, and
 * here is only what they have to add up to.
 */
export type TenantBackup = {
  state: TenantState;
  policies: { version: string; document: string; created_at: string }[];
  /** How many there are. */
  activations: number;
  /** The end of the log. */
  audit: AuditHead;
};

/** A part of a tenant's history, in order. */
export type HistoryPart = { audit: AuditEntry[]; activations: ActivationRecord[] };

export interface TenantObjectContract {
  /** All of a snapshot but the plan's policy, which the index knows. */
  resolveKey(tenant: string, keySha256: string): Promise<TenantSnapshot | null>;
  read(tenant: string): Promise<TenantView | null>;
  /** Makes a change, or says why not. */
  change(tenant: string, change: TenantChange, options: { actor: string; ifMatch: IfMatch }): Promise<ChangeResult>;
  /** Deletes the tenant and everything that its object holds. */
  erase(tenant: string, options: { actor: string; ifMatch: IfMatch }): Promise<ChangeResult>;
  /**
   * Goes on with an erasure that broke off. Returns whether there was one; then all is erased now.
   * Throws if something still cannot be reached, and can be called again.
   */
  finishErasure(tenant: string): Promise<boolean>;
  /** Finishes what a crash has left half done. Does nothing if there is nothing. */
  heal(tenant: string): Promise<void>;
  history(tenant: string): Promise<PolicyHistory | null>;
  policy(tenant: string, version: string): Promise<{ document: string; created_at: string } | null>;
  listAudit(tenant: string, options: { limit: number; before: number | null }): Promise<AuditEntry[]>;
  verifyAudit(tenant: string): Promise<WitnessedVerdict>;
  backup(tenant: string): Promise<TenantBackup | null>;
  /** What follows after these entries and activations; empty parts at the end. */
  historyPart(tenant: string, after: { audit: number; activations: number }): Promise<HistoryPart>;
  /**
   * Takes a part of a history that `restore` will put in place. The first part has entry 1. What
   * does not follow, or is about another tenant, is refused, and what was there is dropped.
   */
  stage(tenant: string, part: HistoryPart): Promise<Refusal | null>;
  /** Wants all parts of the history to be staged. */
  restore(tenant: string, backup: TenantBackup, options: { actor: string }): Promise<ChangeResult>;
}

/** What the old store knew. */
export type OldIndex = {
  tenants: { id: string; updated_at: string }[];
  keys: { sha256: string; tenant: string }[];
  audit: AuditEvent[];
};
export type OldTenant = {
  name: string;
  policy_version: string;
  updated_at: string;
  policies: { version: string; document: string; created_at: string }[];
  keys: { sha256: string; id: string; created_at: string }[];
  audit: AuditEvent[];
};

export interface TenantStoreContract {
  readIndex(): Promise<OldIndex>;
  readTenant(id: string): Promise<OldTenant | null>;
  forgetTenant(id: string): Promise<void>;
}

export type TenantIndexBinding = { TENANT_INDEX: { getByName(name: string): TenantIndexContract } };
export type TenantObjectBinding = { TENANT_OBJECT: { getByName(name: string): TenantObjectContract } };
export type TenantStoreBinding = { TENANT_STORE: { getByName(name: string): TenantStoreContract } };

/** The one object that knows which tenants there are, and whose each key is. */
export function tenantIndex(env: TenantIndexBinding): TenantIndexContract {
  return env.TENANT_INDEX.getByName('index');
}

/** The object of one tenant. Ask the index first: asking it makes an object for any id. */
export function tenantObject(env: TenantObjectBinding, tenant: string): TenantObjectContract {
  return env.TENANT_OBJECT.getByName(tenant);
}

/** The one object that held all tenants before. */
export function tenantStore(env: TenantStoreBinding): TenantStoreContract {
  return env.TENANT_STORE.getByName('tenants');
}
