/** The rows of stored responses: at most so many, each with its end. */
import {
  CONVERSATION_BOUNDS,
  type Conversation,
  type Found,
  MOST_CHARACTERS,
  MOST_STORED,
  type StoredResponse,
} from '../objects/tenant-responses-contract.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Append steps; never edit one that has been deployed. */
export const RESPONSES_STEPS: readonly string[] = [
  `CREATE TABLE responses (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     -- The response that it goes on from. That one may be gone.
     previous TEXT,
     kept_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     response TEXT NOT NULL,
     input TEXT NOT NULL,
     characters INTEGER NOT NULL
   );
   -- One row: whose responses these are. An alarm has no name.
   CREATE TABLE whose (tenant TEXT PRIMARY KEY);`,
];

/** Throws if another tenant's responses are here. */
export function saveRow(
  sql: SqlStorage,
  { ...row }: StoredResponse & { tenant: string; previous: string | null; days: number; now: number },
): void {
  const { tenant, id, previous, response, input, days, now } = row;
  const owner = ownerOf(sql);
  if (owner !== null && owner !== tenant) throw new Error('the responses of another tenant are here');
  sql.exec('INSERT OR IGNORE INTO whose (tenant) VALUES (?)', tenant);
  sql.exec(
    `INSERT INTO responses (id, previous, kept_at, expires_at, response, input, characters)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ...[id, previous, now, now + days * DAY_MS, response, input, response.length + input.length],
  );
  sql.exec(
    `DELETE FROM responses WHERE seq <= (
       SELECT seq FROM (
         SELECT seq, SUM(characters) OVER newest AS characters, ROW_NUMBER() OVER newest AS place
         FROM responses WINDOW newest AS (ORDER BY seq DESC)
       ) WHERE characters > ? OR place > ? ORDER BY seq DESC LIMIT 1
     )`,
    ...[MOST_CHARACTERS, MOST_STORED],
  );
}

/** Erases what has come to its end, and what is older than `days`. null: whatever its age. */
export function forgetOld(sql: SqlStorage, { days, now }: { days: number | null; now: number }): void {
  const oldest = days === null ? 0 : now - days * DAY_MS;
  sql.exec('DELETE FROM responses WHERE expires_at <= ? OR kept_at < ?', now, oldest);
}

export function ownerOf(sql: SqlStorage): string | null {
  return sql.exec<{ tenant: string }>('SELECT tenant FROM whose').toArray()[0]?.tenant ?? null;
}

/** When the first of them comes to its end; null if there are none. */
export function firstEnd(sql: SqlStorage): number | null {
  return sql.exec<{ at: number | null }>('SELECT MIN(expires_at) AS at FROM responses').one().at;
}

export function removeRow(sql: SqlStorage, id: string): boolean {
  return sql.exec('DELETE FROM responses WHERE id = ? RETURNING seq', id).toArray().length > 0;
}

type Row = StoredResponse & { previous: string | null };
/**
 * What whoever asks may see: nothing that has come to its end, and nothing older than `days`. Those
 * of one key may be fewer than the tenant's, so this only hides and erases nothing.
 */
type Sight = { days: number; now: number };

function readRow(sql: SqlStorage, id: string, { days, now }: Sight): Row | null {
  const wanted = 'id = ? AND expires_at > ? AND kept_at >= ?';
  const query = `SELECT id, previous, response, input FROM responses WHERE ${wanted}`;
  return sql.exec<Row>(query, id, now, now - days * DAY_MS).toArray()[0] ?? null;
}

/** Those of them that are there, without their order. */
export function readTurns(sql: SqlStorage, ids: readonly string[], sight: Sight): Found {
  const turns: StoredResponse[] = [];
  let characters = 0;
  for (const id of ids) {
    const row = readRow(sql, id, sight);
    if (row === null) continue;
    characters += row.response.length + row.input.length;
    if (characters > CONVERSATION_BOUNDS.characters) return { outcome: 'too-long' };
    turns.push({ id, response: row.response, input: row.input });
  }
  return { outcome: 'found', turns };
}

/** Follows the responses back to the first. */
export function readConversation(sql: SqlStorage, last: string, sight: Sight): Conversation {
  const turns: StoredResponse[] = [];
  let characters = 0;
  for (let id: string | null = last; id !== null; ) {
    const row = readRow(sql, id, sight);
    if (row === null) return { outcome: 'missing', id };
    const { previous, ...turn } = row;
    characters += turn.response.length + turn.input.length;
    if (turns.length === CONVERSATION_BOUNDS.turns || characters > CONVERSATION_BOUNDS.characters) {
      return { outcome: 'too-long' };
    }
    turns.push(turn);
    id = previous;
  }
  return { outcome: 'found', turns: turns.reverse() };
}
