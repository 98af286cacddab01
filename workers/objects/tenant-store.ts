/**
 * Where all tenants were until each got an object of its own. Nothing is written here any more. The
 * index reads it once, and each tenant's object reads its own part once. It stays so that no
 * deployment has to be migrated by hand.
 */
import { DurableObject } from 'cloudflare:workers';
import type { AuditEvent } from './audit-chain.ts';
import { migrate } from './migrate.ts';
import type { OldIndex, OldTenant, TenantStoreContract } from './tenant-contracts.ts';

const STEPS: readonly string[] = [
  `CREATE TABLE tenants (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     policy_version TEXT NOT NULL,
     updated_at TEXT NOT NULL
   );
   -- Versions are content addresses: a row is written once and never changed.
   CREATE TABLE policies (
     tenant TEXT NOT NULL,
     version TEXT NOT NULL,
     document TEXT NOT NULL,
     created_at TEXT NOT NULL,
     PRIMARY KEY (tenant, version)
   );
   CREATE TABLE keys (
     sha256 TEXT PRIMARY KEY,
     tenant TEXT NOT NULL,
     id TEXT NOT NULL,
     created_at TEXT NOT NULL,
     UNIQUE (tenant, id)
   );
   CREATE TABLE audit (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     action TEXT NOT NULL,
     tenant TEXT NOT NULL,
     detail TEXT NOT NULL
   );`,
];

export class TenantStore extends DurableObject implements TenantStoreContract {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrate(ctx.storage, STEPS);
  }

  async readIndex(): Promise<OldIndex> {
    return {
      tenants: this.#sql.exec<OldIndex['tenants'][number]>('SELECT id, updated_at FROM tenants ORDER BY id').toArray(),
      keys: this.#sql.exec<OldIndex['keys'][number]>('SELECT sha256, tenant FROM keys').toArray(),
      audit: this.#sql.exec<AuditEvent>('SELECT at, actor, action, tenant, detail FROM audit ORDER BY id').toArray(),
    };
  }

  async readTenant(id: string): Promise<OldTenant | null> {
    const [tenant] = this.#sql
      .exec<Pick<OldTenant, 'name' | 'policy_version' | 'updated_at'>>(
        'SELECT name, policy_version, updated_at FROM tenants WHERE id = ?',
        id,
      )
      .toArray();
    if (tenant === undefined) return null;
    return {
      ...tenant,
      policies: this.#sql
        .exec<OldTenant['policies'][number]>(
          'SELECT version, document, created_at FROM policies WHERE tenant = ? ORDER BY created_at',
          id,
        )
        .toArray(),
      keys: this.#sql
        .exec<OldTenant['keys'][number]>('SELECT sha256, id, created_at FROM keys WHERE tenant = ?', id)
        .toArray(),
      audit: this.#sql
        .exec<AuditEvent>('SELECT at, actor, action, tenant, detail FROM audit WHERE tenant = ? ORDER BY id', id)
        .toArray(),
    };
  }

  async forgetTenant(id: string): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      this.#sql.exec('DELETE FROM tenants WHERE id = ?', id);
      for (const table of ['policies', 'keys', 'audit']) this.#sql.exec(`DELETE FROM ${table} WHERE tenant = ?`, id);
    });
  }
}
