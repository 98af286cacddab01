/**
 * What is read of a tenant's past: its versions, when which was active, and what a change has to
 * know of both.
 */
import type { Known } from './applied.ts';
import { auditHead, auditPage, changeByKeys, latestAudit } from './audit-rows.ts';
import type { HistoryPart, PolicyHistory, PolicyRow, TenantBackup } from './tenant-contracts.ts';
import { documentOf } from './tenant-rows.ts';
import type { ActivationRecord, TenantState } from './tenant-state.ts';

/** How many activations are read at once. */
const HISTORY_PAGE = 1_000;

export function readHistory(sql: SqlStorage): PolicyHistory {
  return {
    versions: sql
      .exec<PolicyRow>('SELECT version, created_at FROM policies ORDER BY created_at DESC, version')
      .toArray(),
    activations: readActivations(sql, `ORDER BY seq DESC LIMIT ${HISTORY_PAGE}`),
  };
}

export function readPolicy(sql: SqlStorage, version: string): { document: string; created_at: string } | null {
  const [row] = sql
    .exec<{ document: string; created_at: string }>(
      'SELECT document, created_at FROM policies WHERE version = ?',
      version,
    )
    .toArray();
  return row ?? null;
}

export function readBackup(sql: SqlStorage, state: TenantState): TenantBackup {
  return {
    state,
    policies: sql
      .exec<TenantBackup['policies'][number]>('SELECT version, document, created_at FROM policies ORDER BY version')
      .toArray(),
    activations: sql.exec<{ count: number }>('SELECT COUNT(*) AS count FROM activations').one().count,
    audit: auditHead(sql),
  };
}

export function readHistoryPart(sql: SqlStorage, after: { audit: number; activations: number }): HistoryPart {
  return {
    audit: auditPage(sql, after.audit),
    activations: readActivations(
      sql,
      `WHERE seq > ${Math.trunc(after.activations)} ORDER BY seq LIMIT ${HISTORY_PAGE}`,
    ),
  };
}

/** What the pure part of a change cannot know by itself. */
export function readKnown(sql: SqlStorage, { now, actor }: { now: string; actor: string }): Known {
  return {
    now,
    actor,
    documentOf: (version) => documentOf(sql, version),
    activation: (seq) => readActivations(sql, `WHERE seq = ${Math.trunc(seq)}`)[0] ?? null,
    nextActivation: (sql.exec<{ last: number | null }>('SELECT MAX(seq) AS last FROM activations').one().last ?? 0) + 1,
    storedCharacters:
      sql.exec<{ sum: number | null }>('SELECT SUM(LENGTH(document)) AS sum FROM policies').one().sum ?? 0,
    changeByKeys: (nth) => changeByKeys(sql, nth),
    lastAudit: latestAudit(sql, { limit: 1, before: null })[0] ?? null,
  };
}

function readActivations(sql: SqlStorage, clause: string): ActivationRecord[] {
  return sql
    .exec<ActivationRecord>(`SELECT seq, at, actor, version, share, previous FROM activations ${clause}`)
    .toArray();
}
