/**
 * The truth about tenants, all in one object. One is enough, because it is asked only when a copy
 * nearer to the request has grown old. And it has to be one, because a key must belong to one
 * tenant, however many tenants there are.
 */
import { DurableObject } from 'cloudflare:workers';
import { canonicalPolicy, policyVersion } from '#policies/version.ts';
import { migrate } from './migrations.ts';
import type { TenantDocument, TenantSnapshot } from './tenant-record.ts';
import type { AuditRow, PutResult, TenantStoreContract, TenantSummary } from './tenant-store-contract.ts';

export class TenantStore extends DurableObject implements TenantStoreContract {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrate(ctx.storage);
  }

  async resolveKey(sha256: string): Promise<TenantSnapshot | null> {
    const [row] = this.#sql
      .exec<TenantSnapshot>(
        `SELECT keys.tenant AS tenant, keys.id AS key, policies.document AS policy, tenants.policy_version AS version
         FROM keys
         LEFT JOIN tenants ON tenants.id = keys.tenant
         LEFT JOIN policies ON policies.tenant = keys.tenant AND policies.version = tenants.policy_version
         WHERE keys.sha256 = ?`,
        sha256,
      )
      .toArray();
    return row ?? null;
  }

  async putTenant(id: string, { name, policy, keys }: TenantDocument, actor: string): Promise<PutResult> {
    const document = canonicalPolicy(policy);
    const version = await policyVersion(document);
    const keyIndex = keys.findIndex(({ sha256 }) => this.#isForeignKey(sha256, id));
    if (keyIndex >= 0) return { conflict: true, keyIndex };

    const before = this.#summary(id);
    const removedKeys = (before?.keys ?? []).filter((old) => !keys.some((key) => key.sha256 === old.sha256));
    const now = new Date().toISOString();
    const sameKeys =
      before?.keys.length === keys.length &&
      keys.every((key) => before.keys.some(({ id, sha256 }) => id === key.id && sha256 === key.sha256));
    if (before?.name === name && before.policy_version === version && before.policy === document && sameKeys) {
      return { conflict: false, changed: false, version, removedKeys: [] };
    }
    this.ctx.storage.transactionSync(() => {
      this.#sql.exec(
        // A version is written once, so a policy that is put back keeps its first creation time. If
        // the stored text differs from what its version says, it has been damaged, and this repairs
        // it.
        `INSERT INTO policies (tenant, version, document, created_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (tenant, version) DO UPDATE SET document = excluded.document
         WHERE document <> excluded.document`,
        ...[id, version, document, now],
      );
      this.#sql.exec(
        'INSERT OR REPLACE INTO tenants (id, name, policy_version, updated_at) VALUES (?, ?, ?, ?)',
        ...[id, name, version, now],
      );
      const createdAt = new Map(
        this.#sql
          .exec<{ sha256: string; created_at: string }>('SELECT sha256, created_at FROM keys WHERE tenant = ?', id)
          .toArray()
          .map((key) => [key.sha256, key.created_at]),
      );
      this.#sql.exec('DELETE FROM keys WHERE tenant = ?', id);
      for (const key of keys) {
        this.#sql.exec(
          'INSERT INTO keys (sha256, tenant, id, created_at) VALUES (?, ?, ?, ?)',
          ...[key.sha256, id, key.id, createdAt.get(key.sha256) ?? now],
        );
      }
      const detail = {
        name,
        policy: { from: before?.policy_version ?? null, to: version },
        keys: { from: (before?.keys ?? []).map((key) => key.id), to: keys.map((key) => key.id) },
      };
      this.#sql.exec(
        'INSERT INTO audit (at, actor, action, tenant, detail) VALUES (?, ?, ?, ?, ?)',
        ...[now, actor, 'tenant-put', id, JSON.stringify(detail)],
      );
    });
    return { conflict: false, changed: true, version, removedKeys: removedKeys.map(({ sha256 }) => sha256) };
  }

  async listTenants(): Promise<TenantSummary[]> {
    const ids = this.#sql.exec<{ id: string }>('SELECT id FROM tenants ORDER BY id').toArray();
    return ids.flatMap(({ id }) => this.#summary(id) ?? []);
  }

  async listAudit(limit: number): Promise<AuditRow[]> {
    return this.#sql
      .exec<AuditRow>('SELECT at, actor, action, tenant, detail FROM audit ORDER BY id DESC LIMIT ?', limit)
      .toArray();
  }

  #summary(id: string): TenantSummary | null {
    const [tenant] = this.#sql
      .exec<Omit<TenantSummary, 'keys'>>(
        `SELECT tenants.id AS id, name, policy_version, policies.document AS policy
         FROM tenants
         LEFT JOIN policies ON policies.tenant = tenants.id AND policies.version = tenants.policy_version
         WHERE tenants.id = ?`,
        id,
      )
      .toArray();
    if (tenant === undefined) return null;
    const keys = this.#sql
      .exec<{ id: string; sha256: string }>('SELECT id, sha256 FROM keys WHERE tenant = ? ORDER BY id', id)
      .toArray();
    return { ...tenant, keys };
  }

  #isForeignKey(sha256: string, tenant: string): boolean {
    return this.#sql.exec('SELECT 1 FROM keys WHERE sha256 = ? AND tenant <> ?', sha256, tenant).toArray().length > 0;
  }
}
