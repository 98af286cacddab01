/**
 * Usage in D1: what each tenant, key and model has spent on each day.
 *
 * A queue delivers at least once and in any order. So each request has a row of its own, which only
 * a later revision replaces, and triggers keep the sums of the days. A message that comes twice
 * therefore changes nothing.
 */
import * as z from 'zod';
import type { UsageDatabase, UsageStatement } from '../objects/usage-database.ts';
import type { UsageMessage } from './outbox.ts';

/** A queue keeps a message for at most 14 days. */
const KEEP_REQUESTS_DAYS = 30;

const ADD = (row: string, sign: '+' | '-') => `
  INSERT INTO usage_days (day, tenant, key, model) VALUES (${row}.day, ${row}.tenant, ${row}.key, ${row}.model)
    ON CONFLICT DO NOTHING;
  UPDATE usage_days SET
      requests = requests ${sign} 1,
      prompt_tokens = prompt_tokens ${sign} ${row}.prompt_tokens,
      completion_tokens = completion_tokens ${sign} ${row}.completion_tokens,
      charged_tokens = charged_tokens ${sign} ${row}.charged_tokens
    WHERE day = ${row}.day AND tenant = ${row}.tenant AND key = ${row}.key AND model = ${row}.model;`;

const SCHEMA: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS usage_requests (
     request TEXT PRIMARY KEY,
     day TEXT NOT NULL,
     tenant TEXT NOT NULL,
     key TEXT NOT NULL,
     model TEXT NOT NULL,
     prompt_tokens INTEGER NOT NULL,
     completion_tokens INTEGER NOT NULL,
     charged_tokens INTEGER NOT NULL,
     revision INTEGER NOT NULL
   ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS usage_requests_day ON usage_requests (day)',
  `CREATE TABLE IF NOT EXISTS usage_days (
     day TEXT NOT NULL,
     tenant TEXT NOT NULL,
     key TEXT NOT NULL,
     model TEXT NOT NULL,
     requests INTEGER NOT NULL DEFAULT 0,
     prompt_tokens INTEGER NOT NULL DEFAULT 0,
     completion_tokens INTEGER NOT NULL DEFAULT 0,
     charged_tokens INTEGER NOT NULL DEFAULT 0,
     PRIMARY KEY (day, tenant, key, model)
   ) WITHOUT ROWID`,
  // A tenant is erased by these. Without them it would take a look at every row.
  'CREATE INDEX IF NOT EXISTS usage_requests_tenant ON usage_requests (tenant)',
  'CREATE INDEX IF NOT EXISTS usage_days_tenant ON usage_days (tenant)',
  // A queue may bring the usage of a tenant after the tenant was erased.
  'CREATE TABLE IF NOT EXISTS usage_erased (tenant TEXT PRIMARY KEY) WITHOUT ROWID',
  `CREATE TRIGGER IF NOT EXISTS usage_added AFTER INSERT ON usage_requests BEGIN ${ADD('NEW', '+')} END`,
  `CREATE TRIGGER IF NOT EXISTS usage_corrected AFTER UPDATE ON usage_requests BEGIN ${ADD('OLD', '-')} ${ADD('NEW', '+')} END`,
];

const ready = new WeakSet<UsageDatabase>();

async function migrated(database: UsageDatabase): Promise<UsageDatabase> {
  if (ready.has(database)) return database;
  await database.batch(SCHEMA.map((statement) => database.prepare(statement)));
  ready.add(database);
  return database;
}

/** Counts each request of the messages once. All of them are written, or none. */
export async function addUsage(messages: readonly UsageMessage[], database: UsageDatabase): Promise<void> {
  await migrated(database);
  // One statement for each message, because D1 counts the statements of an invocation.
  const insert = database.prepare(
    `INSERT INTO usage_requests
       (request, day, tenant, key, model, prompt_tokens, completion_tokens, charged_tokens, revision)
     SELECT value ->> 'request', value ->> 'day', ?, value ->> 'key', value ->> 'model', value ->> 'prompt_tokens',
       value ->> 'completion_tokens', value ->> 'charged_tokens', value ->> 'revision'
     FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM usage_erased WHERE tenant = ?)
     ON CONFLICT (request) DO UPDATE SET
       day = excluded.day, tenant = excluded.tenant, key = excluded.key, model = excluded.model,
       prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,
       charged_tokens = excluded.charged_tokens, revision = excluded.revision
     WHERE excluded.revision > usage_requests.revision`,
  );
  const rows = messages.map(({ tenant, events }) => insert.bind(tenant, JSON.stringify(events), tenant));
  if (rows.length > 0) await database.batch(rows);
}

/** How many rows one statement erases. A database bounds how long a statement may take. */
export const ERASED_AT_ONCE = 1_000;
/** Twice as many rows as a batch of the queue can bring, so what is left over becomes less. */
export const FORGOTTEN_PARTS = 10;

const FORGET_PART = `DELETE FROM usage_requests WHERE request IN
  (SELECT request FROM usage_requests WHERE day < ?1 LIMIT ${ERASED_AT_ONCE}) RETURNING 1`;

/**
 * Drops rows of single requests that no message can be about any more, a bounded number of them.
 * The next call goes on. It is no part of writing usage, so nothing in its way keeps usage out.
 */
export async function forgetRequests(database: UsageDatabase, { now = Date.now }: { now?: () => number } = {}) {
  await migrated(database);
  const oldest = new Date(now() - KEEP_REQUESTS_DAYS * 24 * 60 * 60_000).toISOString().slice(0, 10);
  await inParts(database.prepare(FORGET_PART).bind(oldest), { most: FORGOTTEN_PARTS });
}

/** Runs a statement that erases a part, until it finds less than one. */
async function inParts(statement: UsageStatement, { most = Number.POSITIVE_INFINITY } = {}): Promise<void> {
  for (let part = 0; part < most; part++) {
    const { results } = await statement.all();
    if (results.length < ERASED_AT_ONCE) return;
  }
}

const ERASE_PARTS = [
  `DELETE FROM usage_requests WHERE request IN
     (SELECT request FROM usage_requests WHERE tenant = ?1 LIMIT ${ERASED_AT_ONCE}) RETURNING 1`,
  `DELETE FROM usage_days WHERE (day, tenant, key, model) IN
     (SELECT day, tenant, key, model FROM usage_days WHERE tenant = ?1 LIMIT ${ERASED_AT_ONCE}) RETURNING 1`,
];

/**
 * Erases what a tenant has spent, and whatever of it is still on its way. If it breaks off, the
 * next call goes on where it was.
 */
export async function eraseUsage(tenant: string, database: UsageDatabase): Promise<void> {
  await migrated(database);
  // First, so that nothing comes after what is erased.
  await database.batch([database.prepare('INSERT OR IGNORE INTO usage_erased (tenant) VALUES (?)').bind(tenant)]);
  for (const statement of ERASE_PARTS) await inParts(database.prepare(statement).bind(tenant));
}

/** From now on usage of the tenant is kept again. */
export async function reviveUsage(tenant: string, database: UsageDatabase): Promise<void> {
  await migrated(database);
  await database.batch([database.prepare('DELETE FROM usage_erased WHERE tenant = ?').bind(tenant)]);
}

export const UsageRow = z.strictObject({
  day: z.iso.date(),
  tenant: z.string(),
  key: z.string(),
  model: z.string(),
  requests: z.int(),
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  charged_tokens: z.int(),
});
export type UsageRow = z.infer<typeof UsageRow>;

/** From one day to another, both included, as '2026-11-29'. null: every tenant. */
export async function readUsage(
  database: UsageDatabase,
  { from, to, tenant }: { from: string; to: string; tenant: string | null },
): Promise<UsageRow[]> {
  await migrated(database);
  const only = tenant === null ? '' : 'AND tenant = ?';
  const { results } = await database
    .prepare(
      `SELECT day, tenant, key, model, requests, prompt_tokens, completion_tokens, charged_tokens FROM usage_days
       WHERE day BETWEEN ? AND ? ${only} AND requests > 0 ORDER BY day, tenant, key, model`,
    )
    .bind(from, to, ...(tenant === null ? [] : [tenant]))
    .all();
  // The cast: the query says what its rows are.
  return results as UsageRow[];
}
