/** The near copies while the objects cannot be reached. The rest is in the integration test. */
import { expect, test, vi } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import type { Env } from './env.ts';
import { createTenantDirectory } from './tenant-directory.ts';

test('a change that is made does not fail because its copies cannot be written, and no old copy stays', async () => {
  vi.spyOn(console, 'error').mockReturnValue();
  const kept = new Map([
    ['key:current', 'old'],
    ['key:removed', 'old'],
  ]);
  const env = {
    TENANT_INDEX: { getByName: () => ({ locate: () => Promise.reject(new Error('down')) }) },
    TENANT_SNAPSHOTS: { delete: async (name: string) => void kept.delete(name) },
  } as unknown as Env;
  const directory = createTenantDirectory({ operatorPolicy: LOOSEST });
  await directory.refresh({ current: ['current'], removed: ['removed'] }, env);
  expect([...kept.keys()]).toEqual([]);
});
