/** Brings a Durable Object's database to the schema that its code expects. */

/**
 * Runs the steps that have not run yet, in one transaction. Append steps; never edit one that has
 * been deployed.
 */
export function migrate(storage: DurableObjectStorage, steps: readonly string[]): void {
  storage.transactionSync(() => {
    const { sql } = storage;
    sql.exec('CREATE TABLE IF NOT EXISTS migrations (step INTEGER PRIMARY KEY)');
    const { done } = sql.exec<{ done: number }>('SELECT COUNT(*) AS done FROM migrations').one();
    for (const [step, statements] of steps.entries()) {
      if (step < done) continue;
      sql.exec(statements);
      sql.exec('INSERT INTO migrations (step) VALUES (?)', step);
    }
  });
}
