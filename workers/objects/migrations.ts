/**
 * The store's schema, as the steps that lead to it. Append steps; never edit one that has been
 * deployed.
 */
const STEPS: readonly string[] = [
  `CREATE TABLE tenants (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     policy_version TEXT NOT NULL,
     updated_at TEXT NOT NULL
   );
   -- Versions are content addresses: a row is written once and never changed.
   CREATE TABLE policies (
     tenant TEXT NOT NULL,
     version TEXT NOT NULL,
     document TEXT NOT NULL,
     created_at TEXT NOT NULL,
     PRIMARY KEY (tenant, version)
   );
   CREATE TABLE keys (
     sha256 TEXT PRIMARY KEY,
     tenant TEXT NOT NULL,
     id TEXT NOT NULL,
     created_at TEXT NOT NULL,
     UNIQUE (tenant, id)
   );
   CREATE TABLE audit (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     at TEXT NOT NULL,
     actor TEXT NOT NULL,
     action TEXT NOT NULL,
     tenant TEXT NOT NULL,
     detail TEXT NOT NULL
   );`,
];

export function migrate(storage: DurableObjectStorage): void {
  storage.transactionSync(() => {
    const { sql } = storage;
    sql.exec('CREATE TABLE IF NOT EXISTS migrations (step INTEGER PRIMARY KEY)');
    const { done } = sql.exec<{ done: number }>('SELECT COUNT(*) AS done FROM migrations').one();
    for (const [step, statements] of STEPS.entries()) {
      if (step < done) continue;
      sql.exec(statements);
      sql.exec('INSERT INTO migrations (step) VALUES (?)', step);
    }
  });
}
