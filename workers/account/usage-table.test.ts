/** Erasing what a tenant has spent, in a database of SQLite as D1 has it. */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import type { UsageDatabase } from '../objects/usage-database.ts';
import { addUsage, ERASED_AT_ONCE, eraseUsage, FORGOTTEN_PARTS, forgetRequests, readUsage } from './usage-table.ts';

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

function expectIndexed(plain: DatabaseSync, query: string, bound: string): void {
  const plan = plain
    .prepare(`EXPLAIN QUERY PLAN ${query}`)
    .all(bound)
    .map(({ detail }) => String(detail));
  expect(plan.filter((step) => step.startsWith('SCAN'))).toEqual([]);
}

test('usage is erased in parts, by an index, and only that of the tenant', async () => {
  const { database, plain, ran } = openDatabase();
  await addUsage([usageOf('goes', 2 * ERASED_AT_ONCE + 1), usageOf('stays', 2)], database);
  ran.length = 0;
  await eraseUsage('goes', database);
  const erasing = ran.filter(({ query }) => query.startsWith('DELETE'));
  expect(erasing.map(({ rows }) => rows)).toEqual([ERASED_AT_ONCE, ERASED_AT_ONCE, 1, 1]);
  for (const { query } of erasing) expectIndexed(plain, query, 'goes');
  const left = await readUsage(database, { from: '2026-11-01', to: '2026-11-30', tenant: null });
  expect(left).toMatchObject([{ tenant: 'stays', requests: 2, charged_tokens: 6 }]);
  expect(plain.prepare('SELECT DISTINCT tenant FROM usage_requests').all()).toMatchObject([{ tenant: 'stays' }]);
});

test('old requests are forgotten in parts, a bounded number at once, by an index, and no sum changes', async () => {
  const { database, plain, ran } = openDatabase();
  const now = () => Date.parse('2026-12-31T12:00:00.000Z');
  const most = FORGOTTEN_PARTS * ERASED_AT_ONCE;
  await addUsage([usageOf('busy', most + 1)], database);
  const kept = () => plain.prepare('SELECT COUNT(*) AS count FROM usage_requests').get()?.count;
  const before = await readUsage(database, { from: '2026-11-01', to: '2026-11-30', tenant: null });
  ran.length = 0;
  await forgetRequests(database, { now });
  const forgetting = ran.filter(({ query }) => query.startsWith('DELETE'));
  expect(forgetting.map(({ rows }) => rows)).toEqual(Array(FORGOTTEN_PARTS).fill(ERASED_AT_ONCE));
  expectIndexed(plain, forgetting[0]!.query, '2026-12-01');
  expect(kept()).toBe(1);
  await forgetRequests(database, { now });
  expect(kept()).toBe(0);
  expect(await readUsage(database, { from: '2026-11-01', to: '2026-11-30', tenant: null })).toEqual(before);
});
