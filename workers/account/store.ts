/**
 * What the ledger needs of a database: SQLite, asked synchronously. In a Durable Object it is the
 * object's own storage.
 */
type Value = string | number | null;
type Row = Record<string, Value>;

export type Store = {
  exec<T extends Row>(query: string, ...bindings: Value[]): { toArray(): T[] };
  /** All of the work's writes happen, or none. */
  transaction<T>(work: () => T): T;
};

/** The steps that lead to the schema. Append steps; never edit one that has been deployed. */
const STEPS: readonly string[] = [
  `-- One row a request. It counts in its day and month from the moment of its reservation.
   CREATE TABLE charges (
     id TEXT PRIMARY KEY,
     at INTEGER NOT NULL,
     -- Until when an open reservation is believed to have somebody at work. Of a settled one, when it was settled.
     expires_at INTEGER NOT NULL,
     -- 'open': reserved. 'lapsed': its lease ran out. 'settled': tokens is what was spent.
     state TEXT NOT NULL,
     -- What counts against the limits.
     tokens INTEGER NOT NULL,
     -- What earlier requests with the same Idempotency-Key had paid by then.
     credit INTEGER NOT NULL,
     day TEXT NOT NULL,
     key TEXT NOT NULL,
     model TEXT NOT NULL,
     -- A salted digest; null unless tries of one prompt are limited.
     prompt TEXT,
     -- A salted digest; null unless the client sent an Idempotency-Key.
     idempotency TEXT
   ) WITHOUT ROWID;
   -- A day ('2026-11-29') or a month ('2026-11') of UTC.
   CREATE TABLE windows (
     name TEXT PRIMARY KEY,
     -- The sum of all charges of the window.
     charged INTEGER NOT NULL,
     -- The same without open reservations.
     settled INTEGER NOT NULL,
     -- The limit, as last heard.
     cap INTEGER
   ) WITHOUT ROWID;
   CREATE TABLE idempotency (
     key TEXT PRIMARY KEY,
     body TEXT NOT NULL,
     -- The latest request with this key.
     request TEXT NOT NULL,
     -- What its requests have been charged together: the most that any of them has spent.
     paid INTEGER NOT NULL,
     repeats INTEGER NOT NULL,
     at INTEGER NOT NULL
   ) WITHOUT ROWID;
   -- Usage on its way to the queue, and alerts on their way to the webhook.
   CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
   CREATE TABLE alerts (
     window TEXT NOT NULL,
     share REAL NOT NULL,
     cap INTEGER NOT NULL,
     settled INTEGER NOT NULL,
     at INTEGER NOT NULL,
     attempts INTEGER NOT NULL,
     -- null: delivered, or given up.
     next_at INTEGER,
     PRIMARY KEY (window, share)
   ) WITHOUT ROWID;
   CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`,
  `-- A share of another cap is another alert: what was told of a lower cap must not hide it.
   ALTER TABLE alerts RENAME TO alerts_before;
   CREATE TABLE alerts (
     window TEXT NOT NULL,
     share REAL NOT NULL,
     cap INTEGER NOT NULL,
     settled INTEGER NOT NULL,
     at INTEGER NOT NULL,
     attempts INTEGER NOT NULL,
     next_at INTEGER,
     PRIMARY KEY (window, share, cap)
   ) WITHOUT ROWID;
   INSERT INTO alerts SELECT window, share, cap, settled, at, attempts, next_at FROM alerts_before;
   DROP TABLE alerts_before;`,
  // Of rows from before, some are booked once.
  'ALTER TABLE charges ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;',
  `-- The limit without the tenant's own policy, as last heard.
   ALTER TABLE windows ADD COLUMN operator_cap INTEGER;
   -- Who has set the limit: 'operator' or 'tenant'. Before, nobody knew.
   ALTER TABLE alerts ADD COLUMN set_by TEXT NOT NULL DEFAULT 'operator';`,
];

export function migrate({ exec, transaction }: Store): void {
  transaction(() => {
    exec('CREATE TABLE IF NOT EXISTS migrations (step INTEGER PRIMARY KEY)');
    const [count] = exec<{ done: number }>('SELECT COUNT(*) AS done FROM migrations').toArray();
    for (const [step, statements] of STEPS.entries()) {
      if (step < (count?.done ?? 0)) continue;
      exec(statements);
      exec('INSERT INTO migrations (step) VALUES (?)', step);
    }
  });
}
