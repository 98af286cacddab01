/**
 * Which health reports make a living backend. For backends that come and go, see
 * pool-routes.integration.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import type { Mode } from '#shared/line/line.ts';
import { createLoad } from './affinity.ts';
import { chooseBackends, createBackendPool, type PoolMember } from './backend-pool.ts';

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

describe('a request that is to be looked at a second time', () => {
  const member = (name: string, changes: Partial<PoolMember>): PoolMember => ({
    url: `http://${name}`,
    alive: true,
    model: 'scripted',
    contextLength: 64,
    maxTokenBytes: 16,
    bundle: null,
    created: null,
    modes: ['logits'],
    secondLook: null,
    sampling: PLAIN_SAMPLING,
    ...changes,
  });
  const chosen = (members: PoolMember[], { looks = true, mode = 'logits' as Mode } = {}) =>
    chooseBackends(members, {
      model: 'scripted',
      messages: [{ role: 'user', content: 'Hi' }],
      mode,
      looks,
      load: createLoad(),
    })
      .map(({ url }) => url)
      .sort();
  const plain = member('plain', {});
  const other = member('other', { model: 'other', secondLook: '0123456789ab' });

  test('goes to backends with a probe, wherever one of its model is known', () => {
    const looking = member('looking', { secondLook: '0123456789ab' });
    expect(chosen([plain, looking, other])).toEqual(['http://looking']);
    expect(chosen([plain, looking, other], { looks: false })).toEqual(['http://looking', 'http://plain']);
    expect(chosen([plain, { ...looking, alive: false }])).toEqual(['http://looking']);
    expect(chosen([plain, other])).toEqual(['http://plain']);
  });

  test('does not reach another backend by its mode', () => {
    const looking = member('looking', { secondLook: '0123456789ab' });
    const layers = member('layers', { modes: ['logits', 'layers'] });
    expect(() => chosen([layers, looking], { mode: 'layers' })).toThrow(/layers/);
    expect(chosen([layers, looking], { mode: 'layers', looks: false })).toEqual(['http://layers']);
  });
});
