import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { poolListing, poolReport } from '../testing/pool-report.ts';
import { createLoad } from './affinity.ts';
import { chooseBackends } from './backend-pool.ts';
import { backendsToPoll, type HeardPool, LIST_FRESH_MS, mergeMembers, type PoolSources } from './merge-members.ts';
import { type PoolMember, servedBy, unheard } from './pool-member.ts';

const heardPool = (listing: HeardPool['listing'], own: [string, number][] = []): HeardPool => {
  return { listing, readAtMs: 0, own: new Map(own) };
};
const answered = (url: string, changes: Partial<PoolMember> = {}): PoolMember => {
  return { url, alive: true, ...servedBy(poolReport(url)), ...changes };
};
const NOTHING: PoolSources = { urls: [], polled: [], heard: null, isLost: false, nowMs: 0 };
const merged = (sources: Partial<PoolSources>) => mergeMembers({ ...NOTHING, ...sources });
const aliveOf = (sources: Partial<PoolSources>) => merged(sources).flatMap(({ url, alive }) => (alive ? [url] : []));

describe('backends of the settings', () => {
  test('come first and in their order, whether they have answered or not', () => {
    const listing = poolListing([poolReport('http://c'), poolReport('http://a')]);
    const members = merged({
      urls: ['http://b', 'http://a'],
      polled: [answered('http://b')],
      heard: heardPool(listing),
    });
    expect(members.map(({ url }) => url)).toEqual(['http://b', 'http://a', 'http://c']);
    expect(merged({ urls: ['http://b'] })).toEqual([unheard('http://b')]);
  });

  test('that register too need not be asked, until the directory hears nothing of them', () => {
    const urls = ['http://a', 'http://b'];
    const heard = heardPool(poolListing([poolReport('http://a')]));
    expect(backendsToPoll({ ...NOTHING, urls, heard })).toEqual(['http://b']);
    const nowMs = LIST_FRESH_MS + 15_001;
    expect(backendsToPoll({ ...NOTHING, urls, heard, nowMs })).toEqual(urls);
    expect(aliveOf({ urls, heard, nowMs })).toEqual([]);
    expect(aliveOf({ urls, heard, nowMs, polled: [answered('http://a')] })).toEqual(['http://a']);
  });

  test('that said goodbye may have come back without registering', () => {
    const heard = heardPool(poolListing([poolReport('http://a', { status: 'gone' })]));
    expect(backendsToPoll({ ...NOTHING, urls: ['http://a'], heard })).toEqual(['http://a']);
    expect(merged({ urls: ['http://a'], heard })[0]).toMatchObject({ alive: false, draining: true });
    expect(aliveOf({ urls: ['http://a'], heard, polled: [answered('http://a')] })).toEqual(['http://a']);
  });
});

describe('a registered member of the helpfulness pool', () => {
  const boasts = {
    modes: ['logits', 'layers', 'edge'] as PoolMember['modes'][number][],
    serves: ['safety', 'helpfulness'] as PoolMember['serves'][number][],
    second_look: 'p1',
    scores: true,
  };
  const report = poolReport('http://a', { ...boasts, pool: 'helpfulness' });
  const counts = { modes: ['edge'], serves: ['helpfulness'], secondLook: null, scores: false, draws: null };

  test('gives rows of its expert and nothing else, whatever it says', () => {
    expect(merged({ heard: heardPool(poolListing([report])) })).toMatchObject([{ url: 'http://a', ...counts }]);
  });

  test('also when the directory is lost and it is asked itself', () => {
    const polled = [answered('http://a', { ...boasts, secondLook: 'p1' })];
    const lost = { heard: heardPool(poolListing([report])), isLost: true, polled };
    expect(merged(lost)).toMatchObject([{ url: 'http://a', alive: true, ...counts }]);
  });
});

describe('registered backends', () => {
  test('are what they say in their heartbeats', () => {
    const report = poolReport('http://a', { region: 'weur', load: { running: 3, waiting: 2, rows: 6 } });
    expect(merged({ heard: heardPool(poolListing([report]), [['http://a', 1]]) })).toEqual([
      {
        ...answered('http://a'),
        draining: false,
        region: 'weur',
        // Sixteen requests of two rows each.
        reported: { requests: 5, capacity: 16, own: 1 },
      },
    ]);
  });

  test.each([
    ['ok', true, false],
    ['loading', false, false],
    ['draining', false, true],
    ['gone', false, true],
  ] as const)('that say %s', (status, alive, draining) => {
    const heard = heardPool(poolListing([poolReport('http://a', { status })]));
    expect(merged({ heard })[0]).toMatchObject({ alive, draining });
  });

  test('are out once three heartbeats are missing, but as long as a list is fresh it is believed', () => {
    fc.assert(
      fc.property(fc.nat(20_000), fc.nat(20_000), (ageMs, nowMs) => {
        const heard = heardPool(poolListing([poolReport('http://a')], { ages: { 'http://a': ageMs } }));
        const isOut = ageMs + Math.max(0, nowMs - LIST_FRESH_MS) > 15_000;
        expect(aliveOf({ heard, nowMs })).toEqual(isOut ? [] : ['http://a']);
      }),
    );
  });
});

describe('while the directory is lost', () => {
  const reports = [poolReport('http://a'), poolReport('http://b'), poolReport('http://left', { status: 'gone' })];
  const lost = { heard: heardPool(poolListing(reports)), isLost: true, nowMs: 3_600_000 };

  test('those that were up go on being up, however long ago that was, and are asked themselves', () => {
    expect(aliveOf(lost)).toEqual(['http://a', 'http://b']);
    expect(backendsToPoll({ ...NOTHING, ...lost, urls: ['http://c'] })).toEqual(['http://c', 'http://a', 'http://b']);
  });

  test('what they answer counts', () => {
    const polled = [answered('http://a', { alive: false }), unheard('http://b')];
    expect(aliveOf({ ...lost, polled })).toEqual(['http://b']);
    expect(merged({ ...lost, polled })[0]).toMatchObject({ url: 'http://a', alive: false, model: 'scripted' });
  });

  test('the operator’s drains stay', () => {
    const heard = heardPool(poolListing(reports, { drained: ['http://a', 'http://c'] }));
    expect(aliveOf({ ...lost, heard, urls: ['http://c'], polled: [answered('http://c')] })).toEqual(['http://b']);
  });
});

test('no backend that drains is ever chosen, whoever drained it, whatever else is known', () => {
  const urls = Array.from({ length: 6 }, (_, i) => `http://${i}`);
  const some = fc.subarray(urls);
  const status = fc.constantFrom('ok', 'loading', 'draining', 'gone' as const);
  const reports = fc.tuple(...urls.map((url) => status.map((is) => poolReport(url, { status: is as 'ok' }))));
  fc.assert(
    fc.property(
      reports,
      some,
      some,
      some,
      some,
      fc.boolean(),
      fc.nat(40_000),
      (all, known, fixed, asked, drained, isLost, nowMs) => {
        const listing = poolListing(
          all.filter(({ url }) => known.includes(url)),
          { drained },
        );
        const polled = asked.map((url) =>
          answered(url, all[0]?.status === 'ok' ? {} : { alive: false, draining: true }),
        );
        const members = merged({ urls: fixed, polled, heard: heardPool(listing), isLost, nowMs });
        const draining = members.flatMap(({ url, draining }) => (draining ? [url] : []));
        for (const url of drained) if (members.some((member) => member.url === url)) expect(draining).toContain(url);
        let chosen: PoolMember[] = [];
        try {
          const messages = [{ role: 'user' as const, content: 'Hi' }];
          chosen = chooseBackends(members, {
            model: 'scripted',
            messages,
            mode: 'logits',
            looks: false,
            load: createLoad(),
          });
        } catch (error) {
          expect(error).toMatchObject({ code: 'backend_unavailable' });
        }
        for (const { url } of chosen) expect(draining).not.toContain(url);
      },
    ),
  );
});
