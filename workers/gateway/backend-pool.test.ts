/**
 * Which health reports make a living backend. For backends that come and go, see
 * pool-routes.integration.test.ts.
 */
import { expect, test } from 'vitest';
import { createBackendPool } from './backend-pool.ts';

const HEALTH = { status: 'ok', backend: 'b1', model: 'scripted', context_length: 64, max_token_bytes: 16 };

async function examined(report: object, status = 200) {
  const pool = createBackendPool({ fetch: async () => Response.json(report, { status }) });
  const waited: Promise<unknown>[] = [];
  const [member] = await pool.members(['http://backend.example'], {
    waitUntil: (promise) => waited.push(promise),
  });
  await Promise.all(waited);
  return member;
}

test('a backend that says what it is and serves is alive', async () => {
  expect(await examined(HEALTH)).toMatchObject({
    alive: true,
    model: 'scripted',
    contextLength: 64,
    maxTokenBytes: 16,
  });
});

test.each(['backend', 'model', 'context_length', 'max_token_bytes'])(
  'a server whose health report lacks %s is not taken for a backend',
  async (field) => {
    expect(await examined({ ...HEALTH, [field]: undefined })).toMatchObject({ alive: false });
  },
);

test.each<[object, number]>([
  [{ status: 'draining' }, 503],
  [{ status: 'draining' }, 200],
  [{}, 503],
])('a backend that reports %j with status %i is not alive', async (changes, status) => {
  expect(await examined({ ...HEALTH, ...changes }, status)).toMatchObject({ alive: false });
});
