/** A tenant's rows: the schema of its object's database, and how a state is read and written. */
import { auditTable } from './audit-rows.ts';
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
   ${activationTable('activations')}
   CREATE TABLE keys (
     sha256 TEXT PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     scopes TEXT NOT NULL,
     created_at TEXT NOT NULL,
     expires_at TEXT,
     policy_version TEXT,
     replaces TEXT
   );
   ${auditTable('audit')}
   -- A row while a change is under way that the index has to know of. What a crash leaves here is
   -- finished later.
   CREATE TABLE unsettled (tenant TEXT PRIMARY KEY, erasing INTEGER NOT NULL);
   -- A row once the object has taken over what the old store held of this tenant.
   CREATE TABLE adopted (at TEXT NOT NULL);`,
  `-- How many changes the tenant's own keys have made lately.
   CREATE INDEX audit_of_keys ON audit (at) WHERE actor <> 'operator';
   -- A history that is being restored arrives in parts, and takes its place at once.
   ${auditTable('staged_audit')}
   ${activationTable('staged_activations')}`,
  // Whether the tenant comes out of a backup, so that its account may have to be opened again.
  'ALTER TABLE unsettled ADD COLUMN restoring INTEGER NOT NULL DEFAULT 0;',
];

/**
 * The statement that makes a table for activations. A deployed schema holds it, so it never
 * changes.
 */
function activationTable(name: 'activations' | 'staged_activations'): string {
  return `CREATE TABLE ${name} (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     version TEXT NOT NULL,
     share REAL NOT NULL,
     previous INTEGER
   );`;
}

/** All that tells of the tenant. */
export const DATA_TABLES = [
  ...['tenant', 'policies', 'activations', 'keys', 'audit'],
  ...['staged_audit', 'staged_activations'],
] as const;

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
