/**
 * Which tenants there are, whose each key is, the plans, and the audit log of the deployment. All
 * in one object, because a key must belong to one tenant, however many tenants there are.
 * Everything else about a tenant is in an object of its own (tenant-object.ts), which asks here
 * before it takes a key and tells here what it has changed.
 *
 * The index is asked only when a copy nearer to the request has grown old.
 */
import { DurableObject } from 'cloudflare:workers';
import {
  type AuditEntry,
  type AuditEvent,
  type AuditHead,
  chainEvents,
  NO_AUDIT,
  verifyChain,
  type WitnessedVerdict,
} from './audit-chain.ts';
import { auditHead, auditTable, latestAudit, readAudit, witnessedLog, writeAudit } from './audit-rows.ts';
import { type AuditWitnessBinding, auditWitness } from './audit-witness-contract.ts';
import { createExclusive } from './exclusive.ts';
import { type IfMatch, mismatch } from './if-match.ts';
import { migrate } from './migrate.ts';
import { createWitnessTeller, type Wait, type WitnessTeller } from './tell-witness.ts';
import {
  type Claim,
  type ClaimResult,
  type PlanRecord,
  type Settlement,
  type TenantIndexContract,
  type TenantRow,
  type TenantStoreBinding,
  tenantStore,
} from './tenant-contracts.ts';
import type { PolicyText, Refusal } from './tenant-state.ts';

const STEPS: readonly string[] = [
  `CREATE TABLE tenants (
     id TEXT PRIMARY KEY,
     state TEXT NOT NULL,
     plan TEXT,
     -- The head of the tenant's own chain.
     audit_seq INTEGER NOT NULL,
     audit_hash TEXT NOT NULL
   );
   CREATE INDEX tenants_by_plan ON tenants (plan);
   CREATE TABLE keys (sha256 TEXT PRIMARY KEY, tenant TEXT NOT NULL);
   CREATE INDEX keys_by_tenant ON keys (tenant);
   CREATE TABLE plans (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     policy_version TEXT NOT NULL,
     created_at TEXT NOT NULL,
     updated_at TEXT NOT NULL,
     revision INTEGER NOT NULL
   );
   CREATE TABLE policies (version TEXT PRIMARY KEY, document TEXT NOT NULL, created_at TEXT NOT NULL);
   ${auditTable('audit')}
   -- A row once the index has taken over what the old store held.
   CREATE TABLE adopted (at TEXT NOT NULL);`,
  // What a tenant was that is being restored, until its object says that it is there.
  'ALTER TABLE tenants ADD COLUMN was TEXT;',
];

const PLANS = `SELECT plans.id AS id, name, policy_version, document, plans.created_at AS created_at, updated_at, revision
  FROM plans LEFT JOIN policies ON policies.version = plans.policy_version`;

type IndexEnv = TenantStoreBinding & AuditWitnessBinding;

export class TenantIndex extends DurableObject<IndexEnv> implements TenantIndexContract {
  readonly #sql: SqlStorage;
  readonly #witness: WitnessTeller;
  /**
   * The chain has one end, so entries are appended one change after another. The witness is told
   * outside of it: if that is slow, only the change that is told waits, and no other tenant's.
   */
  readonly #exclusive = createExclusive();

  constructor(
    ctx: DurableObjectState,
    env: IndexEnv,
    { wait = (ms, options) => scheduler.wait(ms, options) }: { wait?: Wait } = {},
  ) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#witness = createWitnessTeller(witnessedLog(ctx.storage), { witness: auditWitness(env), wait });
    migrate(ctx.storage, STEPS);
    ctx.blockConcurrencyWhile(() => this.#adopt());
  }

  async locate(keySha256: string): Promise<{ tenant: string; plan: PlanRecord | null } | null> {
    const [row] = this.#sql
      .exec<{ tenant: string; plan: string | null }>(
        `SELECT keys.tenant AS tenant, plan FROM keys LEFT JOIN tenants ON tenants.id = keys.tenant WHERE sha256 = ?`,
        keySha256,
      )
      .toArray();
    if (row === undefined) return null;
    return { tenant: row.tenant, plan: row.plan === null ? null : this.#plan(row.plan) };
  }

  async claim(tenant: string, { keys, plan, revive = false }: Claim): Promise<ClaimResult> {
    return this.ctx.storage.transactionSync((): ClaimResult => {
      const row = this.#tenant(tenant);
      if (row !== null && row.state !== 'live' && !revive) return { granted: false, reason: 'deleted' };
      if (plan !== null && this.#plan(plan) === null) return { granted: false, reason: 'plan' };
      for (const [keyIndex, key] of keys.entries()) {
        const holder = this.#holder(key);
        if (holder !== null && holder !== tenant) return { granted: false, reason: 'key', keyIndex, holder };
      }
      this.#sql.exec(
        `INSERT INTO tenants (id, state, plan, audit_seq, audit_hash) VALUES (?, 'live', ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET
           was = CASE state WHEN 'live' THEN was ELSE state END, state = 'live', plan = excluded.plan`,
        ...[tenant, plan, NO_AUDIT.seq, NO_AUDIT.hash],
      );
      // Its log was erased with it. What is restored begins one again.
      if (row?.state === 'erased') {
        this.#sql.exec(
          'UPDATE tenants SET audit_seq = ?, audit_hash = ? WHERE id = ?',
          NO_AUDIT.seq,
          NO_AUDIT.hash,
          tenant,
        );
      }
      for (const key of keys) this.#sql.exec('INSERT OR IGNORE INTO keys (sha256, tenant) VALUES (?, ?)', key, tenant);
      return { granted: true };
    });
  }

  async auditHead(tenant: string): Promise<AuditHead> {
    const [row] = this.#sql
      .exec<AuditHead>('SELECT audit_seq AS seq, audit_hash AS hash FROM tenants WHERE id = ?', tenant)
      .toArray();
    return row ?? NO_AUDIT;
  }

  async settle(tenant: string, { state, keys, plan, audit }: Settlement): Promise<void> {
    const change = await this.#exclusive(async () => {
      const known = await this.auditHead(tenant);
      const unknown = audit.filter(({ seq }) => seq > known.seq);
      // A log that was cut and has grown again does not follow what was known. Then the old head
      // stays, so that the cut is found for ever.
      const isCut = unknown.length > 0 && unknown[0]?.previous !== known.hash;
      const news = isCut ? unknown.filter((entry) => !this.#isLogged(entry)) : unknown;
      const entries = await chainEvents(auditHead(this.#sql), news);
      const head = isCut ? known : (unknown.at(-1) ?? known);
      const kept = new Set(keys);
      const revokes = this.#keysOf(tenant).some((key) => !kept.has(key));
      if (entries.length > 0) this.#witness.owe();
      this.ctx.storage.transactionSync(() => {
        for (const entry of entries) writeAudit(this.#sql, entry);
        this.#sql.exec('DELETE FROM keys WHERE tenant = ?', tenant);
        if (state === null) {
          // A restore that broke off. Its id stays used.
          this.#sql.exec(
            'UPDATE tenants SET state = was, plan = NULL, was = NULL WHERE id = ? AND was IS NOT NULL',
            tenant,
          );
          this.#sql.exec("DELETE FROM tenants WHERE id = ? AND state = 'live'", tenant);
          return;
        }
        for (const key of keys)
          this.#sql.exec('INSERT OR IGNORE INTO keys (sha256, tenant) VALUES (?, ?)', key, tenant);
        this.#sql.exec(
          'INSERT OR REPLACE INTO tenants (id, state, plan, audit_seq, audit_hash) VALUES (?, ?, ?, ?, ?)',
          ...[tenant, state, state === 'live' ? plan : null, head.seq, head.hash],
        );
      });
      return { isLogged: entries.length > 0, revokes };
    });
    if (!change.isLogged) return;
    const told = this.#witness.tellSoon();
    // Copies of a revoked key are dropped once this is answered, so that waits for nobody.
    if (!change.revokes) await told;
  }

  async bury(tenant: string, { actor }: { actor: string }): Promise<void> {
    const isBuried = await this.#exclusive(async () => {
      if (this.#tenant(tenant) !== null) return false;
      const at = new Date().toISOString();
      await this.#change({ at, actor, action: 'tenant-bury', tenant, detail: '{}' }, () => {
        // A tenant may have been made while the entry was hashed. Then it stays.
        this.#sql.exec(
          "INSERT OR IGNORE INTO tenants (id, state, plan, audit_seq, audit_hash) VALUES (?, 'erased', NULL, ?, ?)",
          ...[tenant, NO_AUDIT.seq, NO_AUDIT.hash],
        );
      });
      return true;
    });
    if (isBuried) await this.#witness.tellSoon();
  }

  async tenant(id: string): Promise<TenantRow | null> {
    return this.#tenant(id);
  }

  async listTenants({ after, limit }: { after: string; limit: number }): Promise<TenantRow[]> {
    return this.#sql
      .exec<TenantRow>('SELECT id, state, plan FROM tenants WHERE id > ? ORDER BY id LIMIT ?', after, limit)
      .toArray();
  }

  async plan(id: string): Promise<PlanRecord | null> {
    return this.#plan(id);
  }

  async listPlans(): Promise<PlanRecord[]> {
    return this.#sql.exec<PlanRecord>(`${PLANS} ORDER BY plans.id`).toArray();
  }

  async putPlan(
    { id, name, policy }: { id: string; name: string; policy: PolicyText },
    { actor, ifMatch }: { actor: string; ifMatch: IfMatch },
  ): ReturnType<TenantIndexContract['putPlan']> {
    const result = await this.#exclusive(async (): ReturnType<TenantIndexContract['putPlan']> => {
      const before = this.#plan(id);
      const same =
        before?.name === name && before.policy_version === policy.version && before.document === policy.document;
      if (same) return { refused: null, changed: false, plan: before };
      const refused = before === null ? null : mismatch(ifMatch, before.revision);
      if (refused !== null) return { refused, plan: before };
      const at = new Date().toISOString();
      const detail = { plan: id, name, policy: { from: before?.policy_version ?? null, to: policy.version } };
      await this.#change({ at, actor, action: 'plan-put', tenant: '', detail: JSON.stringify(detail) }, () => {
        this.#sql.exec(
          `INSERT INTO policies (version, document, created_at) VALUES (?, ?, ?)
           ON CONFLICT (version) DO UPDATE SET document = excluded.document WHERE document <> excluded.document`,
          ...[policy.version, policy.document, at],
        );
        this.#sql.exec(
          `INSERT OR REPLACE INTO plans (id, name, policy_version, created_at, updated_at, revision)
           VALUES (?, ?, ?, ?, ?, ?)`,
          ...[id, name, policy.version, before?.created_at ?? at, at, (before?.revision ?? 0) + 1],
        );
      });
      // Just written, so it is there.
      return { refused: null, changed: true, plan: this.#plan(id)! };
    });
    if (result.refused === null && result.changed) await this.#witness.tellSoon();
    return result;
  }

  async deletePlan(id: string, { actor, ifMatch }: { actor: string; ifMatch: IfMatch }): Promise<Refusal | null> {
    const refusal = await this.#exclusive(() => this.#deletePlan(id, { actor, ifMatch }));
    if (refusal === null) await this.#witness.tellSoon();
    return refusal;
  }

  async listAudit(options: { limit: number; before: number | null }): Promise<AuditEntry[]> {
    return latestAudit(this.#sql, options);
  }

  async verifyAudit(noted: AuditHead | null): Promise<WitnessedVerdict> {
    // The witness first: what it knows is in the log already.
    const known = await this.#witness.tell();
    return { ...(await verifyChain(readAudit(this.#sql), noted ?? NO_AUDIT, known ?? NO_AUDIT)), known };
  }

  override alarm(): Promise<void> {
    return this.#witness.alarm();
  }

  /**
   * Takes over the ids, keys and audit log of the old store, once, before anything else. A tenant's
   * own chain begins with its old entries, hashed as its object will hash them.
   */
  async #adopt(): Promise<void> {
    if (this.#sql.exec('SELECT 1 FROM adopted').toArray().length > 0) return;
    const old = await tenantStore(this.env).readIndex();
    const entries = await chainEvents(NO_AUDIT, old.audit);
    const heads = new Map<string, AuditHead>();
    for (const event of old.audit) {
      const [entry] = await chainEvents(heads.get(event.tenant) ?? NO_AUDIT, [event]);
      // One event makes one entry.
      heads.set(event.tenant, entry!);
    }
    this.ctx.storage.transactionSync(() => {
      for (const entry of entries) writeAudit(this.#sql, entry);
      for (const { id } of old.tenants) {
        const { seq, hash } = heads.get(id) ?? NO_AUDIT;
        this.#sql.exec(
          `INSERT INTO tenants (id, state, plan, audit_seq, audit_hash) VALUES (?, 'live', NULL, ?, ?)`,
          ...[id, seq, hash],
        );
      }
      for (const { sha256, tenant } of old.keys) {
        this.#sql.exec('INSERT INTO keys (sha256, tenant) VALUES (?, ?)', sha256, tenant);
      }
      this.#sql.exec('INSERT INTO adopted (at) VALUES (?)', new Date().toISOString());
    });
  }

  /** Call it exclusively, as all that makes an entry. */
  async #deletePlan(id: string, { actor, ifMatch }: { actor: string; ifMatch: IfMatch }): Promise<Refusal | null> {
    const before = this.#plan(id);
    if (before === null) return { code: 'not_found', message: 'There is no such plan.', param: 'id' };
    const refused = mismatch(ifMatch, before.revision);
    if (refused !== null) return refused;
    const inUse = () =>
      this.#sql.exec<{ count: number }>('SELECT COUNT(*) AS count FROM tenants WHERE plan = ?', id).one().count;
    const refusal = (count: number): Refusal => ({
      code: 'conflict',
      message: `The plan still has ${count} tenant${count === 1 ? '' : 's'}. Give them another one first.`,
      param: 'id',
    });
    if (inUse() > 0) return refusal(inUse());
    const event = { at: new Date().toISOString(), actor, action: 'plan-delete', tenant: '' };
    const [entry] = await chainEvents(auditHead(this.#sql), [{ ...event, detail: JSON.stringify({ plan: id }) }]);
    return this.ctx.storage.transactionSync(() => {
      // A tenant may have taken the plan while the entry was hashed.
      if (inUse() > 0) return refusal(inUse());
      this.#witness.owe();
      this.#sql.exec('DELETE FROM plans WHERE id = ?', id);
      // One event makes one entry.
      writeAudit(this.#sql, entry!);
      return null;
    });
  }

  /** Call it exclusively, and tell the witness after that: others must not wait for it. */
  async #change(event: AuditEvent, write: () => void): Promise<void> {
    const entries = await chainEvents(auditHead(this.#sql), [event]);
    this.#witness.owe();
    this.ctx.storage.transactionSync(() => {
      write();
      for (const entry of entries) writeAudit(this.#sql, entry);
    });
  }

  #tenant(id: string): TenantRow | null {
    return this.#sql.exec<TenantRow>('SELECT id, state, plan FROM tenants WHERE id = ?', id).toArray()[0] ?? null;
  }

  #plan(id: string): PlanRecord | null {
    return this.#sql.exec<PlanRecord>(`${PLANS} WHERE plans.id = ?`, id).toArray()[0] ?? null;
  }

  #isLogged({ tenant, at, action, detail }: AuditEvent): boolean {
    const query = 'SELECT 1 FROM audit WHERE tenant = ? AND at = ? AND action = ? AND detail = ?';
    return this.#sql.exec(query, tenant, at, action, detail).toArray().length > 0;
  }

  #keysOf(tenant: string): string[] {
    const rows = this.#sql.exec<{ sha256: string }>('SELECT sha256 FROM keys WHERE tenant = ?', tenant).toArray();
    return rows.map(({ sha256 }) => sha256);
  }

  #holder(sha256: string): string | null {
    const [row] = this.#sql.exec<{ tenant: string }>('SELECT tenant FROM keys WHERE sha256 = ?', sha256).toArray();
    return row?.tenant ?? null;
  }
}
