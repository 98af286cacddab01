/** The rows of kept prompts: at most so many, each with its end. */
import { type KeptRow, MOST_KEPT } from '../objects/tenant-traffic-contract.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Append steps; never edit one that has been deployed. */
export const TRAFFIC_STEPS: readonly string[] = [
  `CREATE TABLE prompts (
     -- Never used again, so a page goes on where the one before it ended.
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     kept_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     messages TEXT NOT NULL
   );
   -- One row: whose prompts these are. An alarm has no name.
   CREATE TABLE whose (tenant TEXT PRIMARY KEY);`,
];

/** Throws if another tenant's prompts are here. */
export function keepPrompt(
  sql: SqlStorage,
  { tenant, messages, days, now }: { tenant: string; messages: string; days: number; now: number },
): void {
  const owner = ownerOf(sql);
  if (owner !== null && owner !== tenant) throw new Error('the prompts of another tenant are here');
  sql.exec('INSERT OR IGNORE INTO whose (tenant) VALUES (?)', tenant);
  sql.exec(
    'INSERT INTO prompts (kept_at, expires_at, messages) VALUES (?, ?, ?)',
    ...[now, now + days * DAY_MS, messages],
  );
  sql.exec('DELETE FROM prompts WHERE seq <= (SELECT seq FROM prompts ORDER BY seq DESC LIMIT 1 OFFSET ?)', MOST_KEPT);
}

/** Erases what has come to its end, and what is older than `days`. null: whatever its age. */
export function forgetOld(sql: SqlStorage, { days, now }: { days: number | null; now: number }): void {
  const oldest = days === null ? 0 : now - days * DAY_MS;
  sql.exec('DELETE FROM prompts WHERE expires_at <= ? OR kept_at < ?', now, oldest);
}

export function ownerOf(sql: SqlStorage): string | null {
  return sql.exec<{ tenant: string }>('SELECT tenant FROM whose').toArray()[0]?.tenant ?? null;
}

/** How many there are, and when the first of them comes to its end. */
export function countPrompts(sql: SqlStorage): { count: number; firstEndsAt: number | null } {
  return sql
    .exec<{ count: number; firstEndsAt: number | null }>(
      'SELECT COUNT(*) AS count, MIN(expires_at) AS firstEndsAt FROM prompts',
    )
    .one();
}

/** The latest before `before`, newest first. */
export function latestPrompts(sql: SqlStorage, { before, limit }: { before: number | null; limit: number }): KeptRow[] {
  return sql
    .exec<KeptRow>(
      'SELECT seq, kept_at, messages FROM prompts WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      ...[before ?? Number.MAX_SAFE_INTEGER, limit],
    )
    .toArray();
}
