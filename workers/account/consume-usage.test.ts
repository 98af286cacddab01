/** What the consumer asks of the queue when the database is down. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
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
