/**
 * The near copies while the objects cannot be reached, and many keys at once. The rest is in the
 * integration test.
 */

import { setTimeout } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Env } from './env.ts';
import { createTenantDirectory, MOST_WRONG_KEYS, MOST_WRONG_KEYS_IN_ALL } from './tenant-directory.ts';

test('a change that is made does not fail because its copies cannot be written, and no old copy stays', async () => {
  vi.spyOn(console, 'error').mockReturnValue();
  const kept = new Map([
    ['key:current', 'old'],
    ['key:removed', 'old'],
  ]);
  // The cast: the directory reads nothing else of the environment.
  const env = {
    TENANT_OBJECT: { getByName: () => ({ resolveKey: () => Promise.reject(new Error('down')) }) },
    TENANT_SNAPSHOTS: { delete: async (name: string) => void kept.delete(name) },
  } as unknown as Env;
  const directory = createTenantDirectory({ operatorPolicy: LOOSEST });
  await directory.refresh({ tenant: 'acme', current: ['current'], removed: ['removed'] }, env);
  expect([...kept.keys()]).toEqual([]);
});

test('a change of a tenant with many keys asks the index, which all tenants share, once', async () => {
  const asked: string[] = [];
  const kept: string[] = [];
  const ask = async (what: string) => {
    asked.push(what);
    return null;
  };
  const snapshot = (key: string) => ({
    ...{ tenant: 'a', key, plan: 'gold', suspended: false, expires_at: null, scopes: ['inference'], counted: false },
    ...{ levels: [{ level: 'tenant', version: null, document: null }], canary: null },
  });
  // The cast: the directory reads nothing else of the environment.
  const env = {
    TENANT_INDEX: { getByName: () => ({ locate: () => ask('locate'), plan: () => ask('plan') }) },
    TENANT_OBJECT: { getByName: () => ({ resolveKey: async (_tenant: string, key: string) => snapshot(key) }) },
    TENANT_SNAPSHOTS: { put: async (name: string) => void kept.push(name) },
  } as unknown as Env;
  const current = Array.from({ length: 64 }, (_, index) => `key-${index}`);
  await createTenantDirectory({ operatorPolicy: LOOSEST }).refresh({ tenant: 'a', current, removed: [] }, env);
  expect([kept.length, asked]).toEqual([64, ['plan']]);
});

describe('many keys at once from one address', () => {
  const MANY = 2 * MOST_WRONG_KEYS;
  const NOW = 1_000_000;
  /** Stores that take a while. `isKey`: which digests the objects know; `inKv`: which KV does. */
  function isolate({
    isKey,
    inKv = () => false,
    waits = true,
    isolateTtlMs = 10_000,
  }: {
    isKey: (key: string) => boolean;
    inKv?: (key: string) => boolean;
    waits?: boolean;
    isolateTtlMs?: number;
  }) {
    const asked: string[] = [];
    const snapshot = (key: string) => ({
      ...{ tenant: 'a', key, plan: null, suspended: false, expires_at: null, scopes: ['inference'], counted: false },
      ...{ levels: [{ level: 'tenant', version: null, document: null }], canary: null },
    });
    const env = {
      TENANT_INDEX: {
        getByName: () => ({
          locate: async (key: string) => {
            asked.push(key);
            if (waits) await setTimeout(5);
            return isKey(key) ? { tenant: 'a', plan: null } : null;
          },
        }),
      },
      TENANT_OBJECT: { getByName: () => ({ resolveKey: async (_tenant: string, key: string) => snapshot(key) }) },
      TENANT_SNAPSHOTS: {
        get: async (name: string) => {
          if (waits) await setTimeout(5);
          const key = name.slice('key:'.length);
          return inKv(key) ? { readAtMs: NOW, snapshot: snapshot(key) } : null;
        },
        put: async () => {},
      },
    } as unknown as Env;
    const freshness = { isolateTtlMs, kvMaxAgeMs: 60_000 };
    // Its clock stands: a busy machine may take longer than anything here is remembered for.
    const directory = createTenantDirectory({ operatorPolicy: LOOSEST, freshness, now: () => NOW });
    const outcome = (asking: Promise<unknown>) =>
      asking.then(
        (caller) => (caller === null ? 'wrong' : 'found'),
        (error: unknown) => (error instanceof PlimsollError ? error.code : String(error)),
      );
    const options = { env, address: '192.0.2.1', waitUntil: () => {} };
    return {
      asked,
      lookup: (key: string, address: string | null = options.address) =>
        outcome(directory.lookup(key, { ...options, address })),
      lookupTruth: (key: string, address: string | null = options.address) =>
        outcome(directory.lookupTruth(key, { ...options, address })),
    };
  }
  const times = <T>(ask: (index: number) => Promise<T>) => Promise.all(Array.from({ length: MANY }, (_, i) => ask(i)));

  test.each(['lookup', 'lookupTruth'] as const)(
    'are all let in if they exist: one key, or each another (%s)',
    async (by) => {
      vi.spyOn(console, 'error').mockReturnValue();
      const ask = isolate({ isKey: () => true })[by];
      expect(new Set(await times(() => ask('one')))).toEqual(new Set(['found']));
      expect(new Set(await times((index) => ask(`key-${index}`)))).toEqual(new Set(['found']));
    },
  );

  test('count once if it is one wrong key, and then no more new keys than the bound are looked for', async () => {
    vi.spyOn(console, 'error').mockReturnValue();
    const { lookup, asked } = isolate({ isKey: (key) => key === 'right', inKv: (key) => key === 'in-kv' });
    expect(new Set(await times(() => lookup('mistyped')))).toEqual(new Set(['wrong']));
    for (let tried = 1; tried < MOST_WRONG_KEYS; tried++) expect(await lookup(`wrong-${tried}`)).toBe('wrong');
    asked.length = 0;
    expect(await lookup('one-more')).toBe('rate_limit_exceeded');
    expect(await lookup('mistyped')).toBe('wrong');
    expect(await lookup('in-kv')).toBe('found');
    expect(asked).toEqual([]);
  });

  test('shut out no key that was found in KV a while ago, though its copy is gone', async () => {
    vi.spyOn(console, 'error').mockReturnValue();
    let hasCopy = true;
    const { lookup } = isolate({
      ...{ isKey: (key) => key === 'right', inKv: (key) => hasCopy && key === 'right', waits: false },
      // The isolate's own copy is over at once.
      isolateTtlMs: 0,
    });
    expect(await lookup('right')).toBe('found');
    for (let tried = 0; tried < MOST_WRONG_KEYS; tried++) expect(await lookup(`wrong-${tried}`)).toBe('wrong');
    hasCopy = false;
    expect([await lookup('one-more'), await lookup('right')]).toEqual(['rate_limit_exceeded', 'found']);
  });

  test.each([
    ['many addresses', (index: number) => `192.0.2.${index % 512}`],
    ['addresses that nobody names', () => null],
  ])('come to an end from %s too, and keys that existed lately are let in', async (_from, addressOf) => {
    vi.spyOn(console, 'error').mockReturnValue();
    const { lookup, lookupTruth, asked } = isolate({
      ...{ isKey: (key) => key.startsWith('right'), inKv: (key) => key === 'in-kv', waits: false },
    });
    const elsewhere = '198.51.100.1';
    expect([await lookup('right', elsewhere), await lookupTruth('right-admin', elsewhere)]).toEqual(['found', 'found']);
    for (let tried = 0; tried < MOST_WRONG_KEYS_IN_ALL; tried++) {
      expect(await lookupTruth(`wrong-${tried}`, addressOf(tried))).toBe('wrong');
    }
    asked.length = 0;
    expect(await lookupTruth('one-more', elsewhere)).toBe('rate_limit_exceeded');
    expect(await lookup('one-more', elsewhere)).toBe('rate_limit_exceeded');
    expect(asked).toEqual([]);
    expect([await lookup('right', elsewhere), await lookupTruth('right-admin', elsewhere)]).toEqual(['found', 'found']);
    expect(await lookup('in-kv', elsewhere)).toBe('found');
  });
});
