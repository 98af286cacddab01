/** The account's database under Node: SQLite again, in memory. */
import { DatabaseSync } from 'node:sqlite';
import { migrate, type Store } from '../account/store.ts';

export function createSqliteStore(): Store {
  const database = new DatabaseSync(':memory:');
  const prepared = new Map<string, ReturnType<DatabaseSync['prepare']>>();

  const store: Store = {
    exec<T extends Record<string, string | number | null>>(query: string, ...bindings: (string | number | null)[]) {
      // `prepare` reads one statement only.
      if (query.includes(';')) {
        database.exec(query);
        return { toArray: () => [] };
      }
      const statement = prepared.get(query) ?? database.prepare(query);
      prepared.set(query, statement);
      // The cast: the query says what its rows are, as in a Durable Object.
      const rows = statement.all(...bindings) as T[];
      return { toArray: () => rows };
    },
    transaction(work) {
      database.exec('SAVEPOINT work');
      try {
        const result = work();
        database.exec('RELEASE work');
        return result;
      } catch (error) {
        database.exec('ROLLBACK TO work');
        database.exec('RELEASE work');
        throw error;
      }
    },
  };
  migrate(store);
  return store;
}
