/**
 * Rows of a tenant's history that is being restored: it arrives in parts and takes its place at
 * once.
 */
import { type AuditEntry, type AuditHead, NO_AUDIT } from './audit-chain.ts';
import { AUDIT_COLUMNS, writeAudit } from './audit-rows.ts';
import type { ActivationRecord } from './tenant-state.ts';

/** Room for a log that is being restored, in parts. */
export function writeStaged(
  sql: SqlStorage,
  { audit, activations }: { audit: readonly AuditEntry[]; activations: readonly ActivationRecord[] },
): void {
  for (const entry of audit) writeAudit(sql, entry, 'staged_audit');
  for (const { seq, at, actor, version, share, previous } of activations) {
    sql.exec(
      'INSERT OR REPLACE INTO staged_activations (seq, at, actor, version, share, previous) VALUES (?, ?, ?, ?, ?, ?)',
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

/**
 * Puts the staged history in the place of the one that is there; the log only where there is none.
 */
export function adoptStaged(sql: SqlStorage, { withAudit }: { withAudit: boolean }): void {
  sql.exec('DELETE FROM activations');
  sql.exec('INSERT INTO activations SELECT * FROM staged_activations');
  if (withAudit) sql.exec(`INSERT INTO audit (${AUDIT_COLUMNS}) SELECT ${AUDIT_COLUMNS} FROM staged_audit`);
  clearStaged(sql);
}
