/** What the consumer asks of the queue when the database is down. */
import { readFile } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { consumeUsage } from './consume-usage.ts';

test('while the database is down, messages wait longer and longer, and for days', async () => {
  const waits: unknown[] = [];
  const database = { prepare: () => ({}), batch: () => Promise.reject(new Error('D1 is down')) };
  for (const attempts of [1, 2, 9, 50]) {
    const messages = [{ body: { tenant: 'acme', events: [] }, attempts }];
    const retryAll = (options?: { delaySeconds?: number }) => void waits.push(options?.delaySeconds);
    await consumeUsage({ messages, retryAll }, { USAGE_DB: database as never });
  }
  expect(waits).toEqual([10, 20, 2560, 3600]);
  // Without this, a queue drops a message that has failed four times.
  expect(await readFile('wrangler.toml', 'utf8')).toMatch(/^max_retries = 100$/m);
});

test('usage that is written stays written, and comes once, though old rows cannot be dropped', async () => {
  const logged = vi.spyOn(console, 'error').mockReturnValue();
  const isDelete = ({ query }: { query: string }) => query.startsWith('DELETE');
  const prepare = (query: string) => ({
    query,
    bind: () => prepare(query),
    all: async () => {
      if (isDelete({ query })) throw new Error('the statement took too long');
      return { results: [] };
    },
  });
  const written: string[] = [];
  const batch = async (statements: { query: string }[]) => {
    if (statements.some(isDelete)) throw new Error('the statement took too long');
    written.push(...statements.map(({ query }) => query).filter((query) => query.startsWith('INSERT')));
  };
  const messages = [{ body: { tenant: 'acme', events: [] }, attempts: 1 }];
  let again = 0;
  await consumeUsage({ messages, retryAll: () => void again++ }, { USAGE_DB: { prepare, batch } as never });
  expect([written.length, again]).toEqual([1, 0]);
  expect(logged.mock.calls.flat().join()).toContain('usage-not-forgotten');
});
