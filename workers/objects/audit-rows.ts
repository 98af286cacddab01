/** An audit log's rows: of one tenant's log, and of the deployment's. */
import { type AuditEntry, type AuditHead, NO_AUDIT } from './audit-chain.ts';
import type { WitnessedLog } from './tell-witness.ts';

/** The statement that makes a table for a log. A deployed schema holds it, so it never changes. */
export function auditTable(name: 'audit' | 'staged_audit'): string {
  return `CREATE TABLE ${name} (
     seq INTEGER PRIMARY KEY,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     action TEXT NOT NULL,
     tenant TEXT NOT NULL,
     detail TEXT NOT NULL,
     previous TEXT NOT NULL,
     hash TEXT NOT NULL
   );`;
}

export function writeAudit(sql: SqlStorage, entry: AuditEntry, table: 'audit' | 'staged_audit' = 'audit'): void {
  sql.exec(
    `INSERT INTO ${table} (seq, at, actor, action, tenant, detail, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ...[entry.seq, entry.at, entry.actor, entry.action, entry.tenant, entry.detail, entry.previous, entry.hash],
  );
}

export const AUDIT_COLUMNS = 'seq, at, actor, action, tenant, detail, previous, hash';

/** How many entries are read, told or sent at once. One may have some kilobytes. */
export const AUDIT_PAGE = 500;

/** In order, from the entry after `after`. */
export function auditPage(sql: SqlStorage, after: number): AuditEntry[] {
  return sql
    .exec<AuditEntry>(`SELECT ${AUDIT_COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ${AUDIT_PAGE}`, after)
    .toArray();
}

/**
 * All of the log, in order. It is read in pages, so whoever takes long over it holds up no change.
 */
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

/** When the nth change that was not the operator's was made, counted back from the latest. */
export function changeByKeys(sql: SqlStorage, nth: number): string | null {
  const query = `SELECT at FROM audit WHERE actor <> 'operator' ORDER BY at DESC LIMIT 1 OFFSET ?`;
  return sql.exec<{ at: string }>(query, nth - 1).toArray()[0]?.at ?? null;
}

export function auditHead(sql: SqlStorage): AuditHead {
  return sql.exec<AuditHead>('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1').toArray()[0] ?? NO_AUDIT;
}

/** The log of an object, and its alarm, for whoever tells a witness of it. */
export function witnessedLog(storage: DurableObjectStorage): WitnessedLog {
  return {
    head: () => auditHead(storage.sql),
    page: (after) => auditPage(storage.sql, after),
    setAlarm: (at) => storage.setAlarm(at),
    deleteAlarm: () => storage.deleteAlarm(),
  };
}
