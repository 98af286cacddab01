/**
 * Which health reports make a living backend. For backends that come and go, see
 * pool-routes.integration.test.ts.
 */
import { describe, expect, test, vi } from 'vitest';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import type { Mode } from '#shared/line/line.ts';
import { poolListing, poolReport } from '../testing/pool-report.ts';
import { createLoad } from './affinity.ts';
import { chooseBackends, createBackendPool, type PoolMember } from './backend-pool.ts';

const HEALTH = { status: 'ok', backend: 'b1', model: 'scripted', context_length: 64, max_token_bytes: 16 };

const PLAIN: Omit<PoolMember, 'url'> = {
  alive: true,
  model: 'scripted',
  contextLength: 64,
  maxTokenBytes: 16,
  bundle: null,
  created: null,
  modes: ['logits'],
  serves: [],
  secondLook: null,
  sampling: PLAIN_SAMPLING,
};

async function examined(report: object, status = 200) {
  const pool = createBackendPool({ now: () => 0, fetch: async () => Response.json(report, { status }) });
  const waited: Promise<unknown>[] = [];
  const [member] = await pool.members(['http://backend.example'], {
    waitUntil: (promise) => waited.push(promise),
  });
  await Promise.all(waited);
  return member;
}

test('a backend that says that it drains gets nothing, not even as the last one left', async () => {
  const member = await examined({ ...HEALTH, status: 'draining' }, 503);
  expect(member).toMatchObject({ alive: false, draining: true });
});

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
  const member = (name: string, changes: Partial<PoolMember>): PoolMember => {
    return { ...PLAIN, url: `http://${name}`, ...changes };
  };
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

test('a request is not sent to a backend whose model has a probe only on draining ones', () => {
  const plain = { ...PLAIN, url: 'http://plain' };
  const looking = { ...PLAIN, url: 'http://looking', secondLook: '0123456789ab', alive: false, draining: true };
  const options = { model: 'scripted', messages: [], mode: 'logits' as const, load: createLoad() };
  expect(() => chooseBackends([plain, looking], { ...options, looks: true })).toThrow(/draining/);
  expect(chooseBackends([plain, looking], { ...options, looks: false })).toEqual([plain]);
});

describe('a pool with a directory', () => {
  const one = poolReport('http://one');
  /** A directory whose list the test changes, and a clock that it moves. */
  function poolWith(listing = poolListing([one])) {
    const state = { listing: listing as typeof listing | Error, nowMs: 0, reads: 0, asked: [] as string[] };
    const pool = createBackendPool({
      now: () => state.nowMs,
      fetch: async (url) => {
        state.asked.push(String(url));
        return Response.json(HEALTH);
      },
    });
    const members = async (urls: readonly string[] = []) => {
      const waited: Promise<unknown>[] = [];
      const readDirectory = async () => {
        state.reads++;
        if (state.listing instanceof Error) throw state.listing;
        return state.listing;
      };
      await pool.members(urls, { waitUntil: (promise) => waited.push(promise), readDirectory });
      await Promise.all(waited);
      // What a request sees that comes right after it.
      return pool.members(urls, { waitUntil: () => undefined, readDirectory });
    };
    return { state, pool, members };
  }
  const alive = (members: readonly PoolMember[]) => members.flatMap(({ url, alive }) => (alive ? [url] : []));

  test('reads it once in two seconds, and asks none of those that it vouches for', async () => {
    const { state, members } = poolWith();
    expect(alive(await members(['http://one']))).toEqual(['http://one']);
    // The first request asks it while it reads the directory, in case that is not there.
    expect(state.asked).toEqual(['http://one/healthz']);
    state.asked.length = 0;
    await members(['http://one']);
    expect(state).toMatchObject({ reads: 1, asked: [] });
    state.nowMs = 2_001;
    await members(['http://one']);
    expect(state).toMatchObject({ reads: 2, asked: [] });
  });

  test('goes on without it, and notices when it is back', async () => {
    const { state, members } = poolWith();
    await members();
    const write = vi.spyOn(console, 'error').mockReturnValue();
    state.listing = new Error('the object is gone');
    state.nowMs = 60_000;
    expect(alive(await members())).toEqual(['http://one']);
    expect(alive(await members())).toEqual(['http://one']);
    expect(state.asked).toContain('http://one/healthz');
    state.listing = poolListing([poolReport('http://two')]);
    state.nowMs = 63_000;
    expect(alive(await members())).toEqual(['http://two']);
    const events = write.mock.calls.map(([line]) => (JSON.parse(String(line)) as { event: string }).event);
    write.mockRestore();
    expect(events).toEqual(['pool-directory-lost', 'pool-directory-back']);
  });

  test('falls back to the settings if it was never there', async () => {
    const { state, members } = poolWith();
    const write = vi.spyOn(console, 'error').mockReturnValue();
    state.listing = new Error('the object is gone');
    expect(alive(await members(['http://fixed']))).toEqual(['http://fixed']);
    write.mockRestore();
  });

  test('waits for a backend of the settings, though one of the helpfulness pool is well', async () => {
    const helpful = poolReport('http://one', { pool: 'helpfulness', modes: ['edge'], serves: ['helpfulness'] });
    const pool = createBackendPool({
      now: () => 0,
      fetch: async () => {
        await new Promise((resolve) => setTimeout(resolve, 200));
        return Response.json(HEALTH);
      },
    });
    const readDirectory = async () => poolListing([helpful]);
    const options = { model: 'scripted', waitUntil: () => undefined, readDirectory };
    expect(alive(await pool.members(['http://fixed'], options))).toEqual(['http://fixed', 'http://one']);
  });

  test('leaves out what a request found broken until the directory is read again', async () => {
    const { state, pool, members } = poolWith(poolListing([one, poolReport('http://two')]));
    await members();
    pool.failed('http://one');
    expect(alive(await members())).toEqual(['http://two']);
    state.nowMs = 2_001;
    expect(alive(await members())).toEqual(['http://one', 'http://two']);
  });

  test('knows nothing of a backend that turned out to serve another model, until it says which', async () => {
    const { state, pool, members } = poolWith();
    await members();
    state.listing = poolListing([poolReport('http://one', { model: 'another' })]);
    pool.servesAnother('http://one');
    expect((await members()).map(({ model }) => model)).toEqual(['another']);
  });
});
