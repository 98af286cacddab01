/**
 * Ten thousand reservations at once, in the real runtime: a budget is not overspent by one token.
 */
import { fileURLToPath } from 'node:url';
import { Miniflare } from 'miniflare';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleWorker } from '../local/bundle-worker.ts';
import type { Calm, Storm } from '../testing/worker/account-call.ts';

let miniflare: Miniflare;
beforeAll(async () => {
  miniflare = new Miniflare({
    name: 'storm',
    cf: false,
    telemetry: { enabled: false },
    modules: await bundleWorker(fileURLToPath(new URL('../testing/worker/storm.ts', import.meta.url))),
    compatibilityDate: '2026-07-30',
    durableObjects: { TENANT_ACCOUNT: { className: 'TenantAccount', useSQLite: true } },
    unsafeInspectDurableObjects: true,
  });
  await miniflare.ready;
});
afterAll(() => miniflare.dispose());

test('10,000 reservations at once, some never settled, overspend nothing', async () => {
  const storm: Storm = { requests: 10_000, limit: 20_000, crashEvery: 20 };
  const answer = await miniflare.dispatchFetch('http://storm/', { method: 'POST', body: JSON.stringify(storm) });
  // The cast: the Worker sends it.
  const calm = (await answer.json()) as Calm;
  expect(calm.granted + calm.denied).toBe(storm.requests);
  // Both happen, or the storm was none.
  expect(calm.granted).toBeGreaterThan(100);
  expect(calm.denied).toBeGreaterThan(100);
  expect(calm.spent).toBeLessThanOrEqual(storm.limit);

  const storage = await miniflare.unsafeGetDurableObjectStorage('storm', 'TenantAccount', { name: 'storm' });
  const rows = await storage.exec('SELECT charged FROM windows ORDER BY name');
  // The month and the day: what was spent, and all of what was never settled.
  expect(rows).toEqual([{ charged: calm.spent }, { charged: calm.spent }]);
});
