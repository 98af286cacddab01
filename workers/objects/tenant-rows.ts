/** A tenant's rows: the schema of its object's database, and how a state is read and written. */
import type { AuditEntry, AuditHead } from './audit-chain.ts';
import { NO_AUDIT } from './audit-chain.ts';
import { Scopes } from './tenant-record.ts';
import type { ActivationRecord, KeyRecord, PolicyText, TenantState } from './tenant-state.ts';

export const TENANT_STEPS: readonly string[] = [
  `-- One row.
   CREATE TABLE tenant (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     plan TEXT,
     policy_version TEXT NOT NULL,
     activation INTEGER NOT NULL,
     canary_version TEXT,
     canary_share REAL,
     suspended_at TEXT,
     suspended_reason TEXT,
     deleted_at TEXT,
     created_at TEXT NOT NULL,
     updated_at TEXT NOT NULL,
     revision INTEGER NOT NULL
   );
   -- Versions are content addresses: a row is written once and never changed.
   CREATE TABLE policies (
     version TEXT PRIMARY KEY,
     document TEXT NOT NULL,
     created_at TEXT NOT NULL
   );
   CREATE TABLE activations (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     version TEXT NOT NULL,
     share REAL NOT NULL,
     previous INTEGER
   );
   CREATE TABLE keys (
     sha256 TEXT PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     scopes TEXT NOT NULL,
     created_at TEXT NOT NULL,
     expires_at TEXT,
     policy_version TEXT,
     replaces TEXT
   );
   CREATE TABLE audit (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     action TEXT NOT NULL,
     tenant TEXT NOT NULL,
     detail TEXT NOT NULL,
     previous TEXT NOT NULL,
     hash TEXT NOT NULL
   );
   -- A row while a change is under way that the index has to know of. What a crash leaves here is
   -- finished later.
   CREATE TABLE unsettled (tenant TEXT PRIMARY KEY, erasing INTEGER NOT NULL);
   -- A row once the object has taken over what the old store held of this tenant.
   CREATE TABLE adopted (at TEXT NOT NULL);`,
  `-- How many changes the tenant's own keys have made lately.
   CREATE INDEX audit_of_keys ON audit (at) WHERE actor <> 'operator';
   -- A history that is being restored arrives in parts, and takes its place at once.
   CREATE TABLE staged_audit (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     action TEXT NOT NULL,
     tenant TEXT NOT NULL,
     detail TEXT NOT NULL,
     previous TEXT NOT NULL,
     hash TEXT NOT NULL
   );
   CREATE TABLE staged_activations (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     version TEXT NOT NULL,
     share REAL NOT NULL,
     previous INTEGER
   );`,
];

type TenantRowRaw = {
  id: string;
  name: string;
  plan: string | null;
  policy_version: string;
  activation: number;
  canary_version: string | null;
  canary_share: number | null;
  suspended_at: string | null;
  suspended_reason: string | null;
  deleted_at: string | null;
  created_at: string;
  updated_at: string;
  revision: number;
};

type KeyRowRaw = Omit<KeyRecord, 'scopes'> & { scopes: string };

export function readState(sql: SqlStorage): TenantState | null {
  const [row] = sql.exec<TenantRowRaw>('SELECT * FROM tenant').toArray();
  if (row === undefined) return null;
  const { id: _, canary_version, canary_share, suspended_at, suspended_reason, ...same } = row;
  return {
    ...same,
    canary: canary_version === null ? null : { version: canary_version, share: canary_share ?? 0 },
    suspended: suspended_at === null ? null : { at: suspended_at, reason: suspended_reason },
    keys: sql.exec<KeyRowRaw>('SELECT * FROM keys ORDER BY id').toArray().map(toKey),
  };
}

export function readKey(sql: SqlStorage, sha256: string): KeyRecord | null {
  const [row] = sql.exec<KeyRowRaw>('SELECT * FROM keys WHERE sha256 = ?', sha256).toArray();
  return row === undefined ? null : toKey(row);
}

/** Scopes are stored as one text, so they are parsed. */
function toKey({ scopes, ...row }: KeyRowRaw): KeyRecord {
  const { id, sha256, created_at, expires_at, policy_version, replaces } = row;
  return { id, sha256, scopes: Scopes.parse(scopes.split(' ')), created_at, expires_at, policy_version, replaces };
}

/** Writes the state in place of what is there. Call it inside a transaction. */
export function writeState(sql: SqlStorage, id: string, state: TenantState): void {
  sql.exec(
    `INSERT OR REPLACE INTO tenant (id, name, plan, policy_version, activation, canary_version, canary_share,
       suspended_at, suspended_reason, deleted_at, created_at, updated_at, revision)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[id, state.name, state.plan, state.policy_version, state.activation],
    ...[state.canary?.version ?? null, state.canary?.share ?? null],
    ...[state.suspended?.at ?? null, state.suspended?.reason ?? null],
    ...[state.deleted_at, state.created_at, state.updated_at, state.revision],
  );
  sql.exec('DELETE FROM keys');
  for (const key of state.keys) {
    sql.exec(
      `INSERT INTO keys (sha256, id, scopes, created_at, expires_at, policy_version, replaces)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ...[key.sha256, key.id, key.scopes.join(' '), key.created_at],
      ...[key.expires_at, key.policy_version, key.replaces],
    );
  }
}

/**
 * A version is written once, so a policy that is put back keeps its first creation time. If the
 * stored text differs from what its version says, it has been damaged, and this repairs it.
 */
export function writePolicy(sql: SqlStorage, { version, document }: PolicyText, createdAt: string): void {
  sql.exec(
    `INSERT INTO policies (version, document, created_at) VALUES (?, ?, ?)
     ON CONFLICT (version) DO UPDATE SET document = excluded.document WHERE document <> excluded.document`,
    ...[version, document, createdAt],
  );
}

/** null if there is none, or if `version` is null. */
export function documentOf(sql: SqlStorage, version: string | null): string | null {
  const [row] = sql.exec<{ document: string }>('SELECT document FROM policies WHERE version = ?', version).toArray();
  return row?.document ?? null;
}

export function writeActivation(sql: SqlStorage, record: ActivationRecord): void {
  sql.exec(
    'INSERT INTO activations (seq, at, actor, version, share, previous) VALUES (?, ?, ?, ?, ?, ?)',
    ...[record.seq, record.at, record.actor, record.version, record.share, record.previous],
  );
}

export function writeAudit(sql: SqlStorage, entry: AuditEntry): void {
  sql.exec(
    'INSERT INTO audit (seq, at, actor, action, tenant, detail, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    ...[entry.seq, entry.at, entry.actor, entry.action, entry.tenant, entry.detail, entry.previous, entry.hash],
  );
}

/** Room for a log that is being restored, in parts. */
export function writeStaged(
  sql: SqlStorage,
  { audit, activations }: { audit: readonly AuditEntry[]; activations: readonly ActivationRecord[] },
): void {
  for (const { seq, at, actor, action, tenant, detail, previous, hash } of audit) {
    sql.exec(
      `INSERT INTO staged_audit (${AUDIT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[seq, at, actor, action, tenant, detail, previous, hash],
    );
  }
  for (const { seq, at, actor, version, share, previous } of activations) {
    sql.exec(
      'INSERT INTO staged_activations (seq, at, actor, version, share, previous) VALUES (?, ?, ?, ?, ?, ?)',
      ...[seq, at, actor, version, share, previous],
    );
  }
}

export function clearStaged(sql: SqlStorage): void {
  sql.exec('DELETE FROM staged_audit');
  sql.exec('DELETE FROM staged_activations');
}

/** What has been staged so far: the head of the log, and how many activations. */
export function readStaged(sql: SqlStorage): { audit: AuditHead; activations: number } {
  const [head = NO_AUDIT] = sql
    .exec<AuditHead>('SELECT seq, hash FROM staged_audit ORDER BY seq DESC LIMIT 1')
    .toArray();
  const { count } = sql.exec<{ count: number }>('SELECT COUNT(*) AS count FROM staged_activations').one();
  return { audit: head, activations: count };
}

/** Puts the staged history in the place of the one that is there; the log only where there is none. */
export function adoptStaged(sql: SqlStorage, { withAudit }: { withAudit: boolean }): void {
  sql.exec('DELETE FROM activations');
  sql.exec('INSERT INTO activations SELECT * FROM staged_activations');
  if (withAudit) sql.exec(`INSERT INTO audit (${AUDIT_COLUMNS}) SELECT ${AUDIT_COLUMNS} FROM staged_audit`);
  clearStaged(sql);
}

const AUDIT_COLUMNS = 'seq, at, actor, action, tenant, detail, previous, hash';

/** How many entries are read, told or sent at once. One may have some kilobytes. */
export const AUDIT_PAGE = 500;

/** In order, from the entry after `after`. */
export function auditPage(sql: SqlStorage, after: number): AuditEntry[] {
  return sql
    .exec<AuditEntry>(`SELECT ${AUDIT_COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ${AUDIT_PAGE}`, after)
    .toArray();
}

/** All of the log, in order. It is read in pages, so whoever takes long over it holds up no change. */
export function* readAudit(sql: SqlStorage): Generator<AuditEntry, void, void> {
  for (let page = auditPage(sql, 0); page.length > 0; page = auditPage(sql, page.at(-1)?.seq ?? 0)) yield* page;
}

/** The latest entries before `before`, newest first. */
export function latestAudit(
  sql: SqlStorage,
  { limit, before }: { limit: number; before: number | null },
): AuditEntry[] {
  return sql
    .exec<AuditEntry>(
      `SELECT ${AUDIT_COLUMNS} FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?`,
      ...[before ?? Number.MAX_SAFE_INTEGER, limit],
    )
    .toArray();
}

/** How many changes since a moment were not the operator's. */
export function countChangesByKeys(sql: SqlStorage, since: string): number {
  return sql
    .exec<{ count: number }>(`SELECT COUNT(*) AS count FROM audit WHERE actor <> 'operator' AND at > ?`, since)
    .one().count;
}

export function auditHead(sql: SqlStorage): AuditHead {
  return sql.exec<AuditHead>('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1').toArray()[0] ?? NO_AUDIT;
}
