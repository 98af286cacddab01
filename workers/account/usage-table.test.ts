/** Erasing what a tenant has spent, in a database of SQLite as D1 has it. */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import type { UsageDatabase } from '../objects/usage-database.ts';
import { addUsage, ERASED_AT_ONCE, eraseUsage, readUsage } from './usage-table.ts';

type Ran = { query: string; rows: number };

function openDatabase(): { database: UsageDatabase; plain: DatabaseSync; ran: Ran[] } {
  const plain = new DatabaseSync(':memory:');
  const ran: Ran[] = [];
  const prepare = (query: string, values: (string | number)[] = []): ReturnType<UsageDatabase['prepare']> => ({
    bind: (...bound) => prepare(query, bound),
    async all() {
      const results = plain.prepare(query).all(...values);
      ran.push({ query, rows: results.length });
      return { results };
    },
  });
  const batch: UsageDatabase['batch'] = (statements) => Promise.all(statements.map((statement) => statement.all()));
  return { database: { prepare, batch }, plain, ran };
}

function usageOf(tenant: string, requests: number) {
  const events = Array.from({ length: requests }, (_, index) => ({
    ...{ request: `${tenant}-${index}`, day: '2026-11-29', key: 'web', model: 'small', revision: 1 },
    ...{ prompt_tokens: 1, completion_tokens: 2, charged_tokens: 3 },
  }));
  return { tenant, events };
}

test('usage is erased in parts, by an index, and only that of the tenant', async () => {
  const { database, plain, ran } = openDatabase();
  const now = () => Date.parse('2026-11-29T12:00:00.000Z');
  await addUsage([usageOf('goes', 2 * ERASED_AT_ONCE + 1), usageOf('stays', 2)], { database, now });
  ran.length = 0;
  await eraseUsage('goes', database);
  const erasing = ran.filter(({ query }) => query.startsWith('DELETE'));
  expect(erasing.map(({ rows }) => rows)).toEqual([ERASED_AT_ONCE, ERASED_AT_ONCE, 1, 1]);
  for (const { query } of erasing) {
    const plan = plain
      .prepare(`EXPLAIN QUERY PLAN ${query}`)
      .all('goes')
      .map(({ detail }) => String(detail));
    expect(plan.filter((step) => step.startsWith('SCAN'))).toEqual([]);
  }
  const left = await readUsage(database, { from: '2026-11-01', to: '2026-11-30', tenant: null });
  expect(left).toMatchObject([{ tenant: 'stays', requests: 2, charged_tokens: 6 }]);
  expect(plain.prepare('SELECT DISTINCT tenant FROM usage_requests').all()).toMatchObject([{ tenant: 'stays' }]);
});
