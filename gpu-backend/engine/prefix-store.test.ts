import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Prefix, Source } from './experts.ts';
import { BLOCK_TOKENS, PrefixStore } from './prefix-store.ts';

const ids = (count: number, first = 0) => Array.from({ length: count }, (_, i) => first + i);

type Asked = { tenant?: string; publicTokens?: number; promptTokens?: number; bounds?: Prefix['bounds'] };
const prefix = (all: readonly number[], { tenant = 'acme', publicTokens = 0, promptTokens, bounds }: Asked = {}) => ({
  ids: all,
  scope: { tenant, publicTokens },
  ...(promptTokens !== undefined && { promptTokens }),
  ...(bounds && { bounds }),
});

/** A store whose payloads are a block's ids; `copied` lists what it asked for. */
function stored({ mostBytes = 1e6, answersApart = false, isShared = false } = {}) {
  const store = new PrefixStore<Int32Array>({ mostBytes, answersApart });
  const copied: string[] = [];
  const keep = (source: Source, one: Prefix) => {
    const copy = (kind: string) => (from: number) => {
      copied.push(`${kind} ${source} ${from}`);
      return Int32Array.from(one.ids.slice(from, from + BLOCK_TOKENS));
    };
    store.keep(source, one, { shared: isShared ? copy('shared') : null, own: copy('own') });
  };
  const find = (source: Source, one: Prefix) => store.find(source, one).flatMap(({ own }) => [...own]);
  return { store, copied, keep, find };
}

test('gives back whole blocks, fewer tokens than were asked for, and copies nothing twice', () => {
  const { keep, find, copied } = stored();
  keep('safety', prefix(ids(50)));
  expect(find('safety', prefix(ids(50)))).toEqual(ids(48));
  expect(find('safety', prefix(ids(48)))).toEqual(ids(32));
  expect(find('safety', prefix([...ids(40), 7, 7, 7, 7, 7, 7, 7, 7, 7]))).toEqual(ids(32));
  keep('safety', prefix(ids(64)));
  expect(copied).toEqual(['own safety 0', 'own safety 16', 'own safety 32', 'own safety 48']);
});

test('an empty prefix is found nowhere and keeps nothing', () => {
  const { store, keep, find } = stored();
  keep('safety', prefix([]));
  expect(find('safety', prefix([]))).toEqual([]);
  expect(store.stats.bytes).toBe(0);
});

test('a tenant cannot be named so that its blocks count as public ones', () => {
  const { keep, find } = stored();
  for (const tenant of ['null', '', 'null,16', '",null']) {
    keep('safety', prefix(ids(32), { tenant }));
    expect(find('safety', prefix(ids(32), { tenant: 'globex' }))).toEqual([]);
    expect(find('safety', prefix(ids(32), { tenant: 'globex', publicTokens: 32 }))).toEqual([]);
  }
});

test('a block is public only if all its tokens are', () => {
  const { keep, find } = stored();
  keep('safety', prefix(ids(64), { publicTokens: 31 }));
  expect(find('safety', prefix(ids(64), { tenant: 'globex', publicTokens: 31 }))).toEqual(ids(16));
  expect(find('safety', prefix(ids(64), { publicTokens: 31 }))).toEqual(ids(48));
});

describe('tokens that were read as an answer', () => {
  const answered = { promptTokens: 20 };

  test('are found as a prompt where the arithmetic is the same', () => {
    const { keep, find } = stored();
    keep('safety', prefix(ids(64), answered));
    expect(find('safety', prefix(ids(64)))).toEqual(ids(48));
  });

  test('are neither kept nor found where it is not', () => {
    const { keep, find, copied } = stored({ answersApart: true });
    keep('safety', prefix(ids(64), answered));
    expect(copied).toEqual(['own safety 0']);
    expect(find('safety', prefix(ids(64)))).toEqual(ids(16));
    keep('safety', prefix(ids(64)));
    expect(find('safety', prefix(ids(64)))).toEqual(ids(48));
    expect(find('safety', prefix(ids(64), answered))).toEqual(ids(16));
    expect(find('safety', prefix(ids(64), { promptTokens: 32 }))).toEqual(ids(32));
    expect(find('safety', prefix(ids(64), { promptTokens: 0 }))).toEqual([]);
  });
});

describe('a part that is equal for all sources', () => {
  test('is copied and kept once, and goes with the last of them', () => {
    const { store, keep, copied, find } = stored({ isShared: true });
    keep('safety', prefix(ids(16)));
    const alone = store.stats.bytes;
    keep('helpfulness', prefix(ids(16)));
    keep('layers', prefix(ids(16), { bounds: { floor: 0.5, ceiling: 1 } }));
    keep('layers', prefix(ids(16), { bounds: { floor: 0.6, ceiling: 1 } }));
    expect(copied).toEqual(['own safety 0', 'shared safety 0', 'own helpfulness 0', 'own layers 0', 'own layers 0']);
    const shared = new Set(
      (['safety', 'helpfulness'] as const).map((source) => store.find(source, prefix(ids(17)))[0]!.shared),
    );
    expect(shared.size).toBe(1);
    expect(store.stats.bytes).toBe(alone + 3 * (alone - 4 * BLOCK_TOKENS));
    expect(find('layers', prefix(ids(17), { bounds: { floor: 0.7, ceiling: 1 } }))).toEqual([]);
  });

  test('another tenant’s is another one', () => {
    const { keep, copied } = stored({ isShared: true });
    keep('safety', prefix(ids(16)));
    keep('helpfulness', prefix(ids(16), { tenant: 'globex' }));
    expect(copied).toEqual(['own safety 0', 'shared safety 0', 'own helpfulness 0', 'shared helpfulness 0']);
  });
});

test('of a prefix that does not fit, the beginning is kept', () => {
  const { store, keep, find } = stored({ mostBytes: 2_000 });
  keep('safety', prefix(ids(160, 500)));
  expect(find('safety', prefix(ids(160, 500)))).toEqual(ids(48, 500));
  keep('safety', prefix(ids(160)));
  expect(find('safety', prefix(ids(160)))).toEqual(ids(48));
  expect(find('safety', prefix(ids(160, 500)))).toEqual([]);
  expect(store.stats).toMatchObject({ forgottenTokens: 48, bytes: 3 * 576 });
  const none = stored({ mostBytes: 100 });
  none.keep('safety', prefix(ids(160)));
  expect(none.store.stats.bytes).toBe(0);
});

test('whatever is kept and looked for, it stays within its memory and finds only what was kept', () => {
  const source = fc.constantFrom<Source>('safety', 'helpfulness');
  const scope = fc.record({ tenant: fc.constantFrom('acme', 'globex'), publicTokens: fc.constantFrom(0, 16, 40) });
  // Blocks of equal tokens, of two kinds, so that many prefixes begin alike.
  const tokens = fc
    .array(fc.constantFrom(1, 2), { maxLength: 5 })
    .map((blocks) => blocks.flatMap((token) => Array<number>(BLOCK_TOKENS).fill(token)));
  const action = fc.record({ keeps: fc.boolean(), source, scope, tokens });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), fc.integer({ min: 0, max: 6_000 }), (actions, mostBytes) => {
      const { store, keep, find } = stored({ mostBytes, isShared: true });
      /** Who has kept which beginnings, straight from the definition. */
      const kept = new Set<string>();
      const nameOf = (length: number, at: (typeof actions)[number]) => {
        const publicBlocks = Math.floor(Math.min(at.scope.publicTokens, length) / BLOCK_TOKENS);
        const owner = publicBlocks * BLOCK_TOKENS === length ? 'everyone' : at.scope.tenant;
        return JSON.stringify([at.source, at.tokens.slice(0, length), publicBlocks, owner]);
      };
      for (const at of actions) {
        const one = { ids: at.tokens, scope: at.scope };
        if (at.keeps) {
          keep(at.source, one);
          for (let end = BLOCK_TOKENS; end <= at.tokens.length; end += BLOCK_TOKENS) kept.add(nameOf(end, at));
        } else {
          const found = find(at.source, one);
          expect(found).toEqual(at.tokens.slice(0, found.length));
          if (found.length > 0) expect(kept).toContain(nameOf(found.length, at));
        }
        expect(store.stats.bytes).toBeLessThanOrEqual(mostBytes);
      }
      // With memory for everything, nothing may be lost.
      if (store.stats.forgottenTokens > 0 || mostBytes < 5_900) return;
      for (const at of actions.filter(({ keeps, tokens }) => keeps && tokens.length > 0)) {
        expect(find(at.source, { ids: [...at.tokens, 9], scope: at.scope })).toEqual(at.tokens);
      }
    }),
  );
});

describe('what must not stay', () => {
  test('a block that must not be kept ends what is kept', () => {
    for (const bad of ['shared', 'own']) {
      const store = new PrefixStore<Int32Array>({ mostBytes: 1e6, answersApart: false });
      const copy = (kind: string) => (from: number) => (kind === bad && from === 32 ? null : new Int32Array(4));
      store.keep('safety', prefix(ids(80)), { shared: copy('shared'), own: copy('own') });
      expect(store.find('safety', prefix(ids(80)))).toHaveLength(2);
    }
  });

  test('blocks that turned out bad are forgotten with all that follows them, and may be kept anew', () => {
    const { store, keep, find } = stored({ isShared: true });
    const empty = store.stats.bytes;
    keep('safety', prefix(ids(64)));
    keep('helpfulness', prefix(ids(80)));
    keep('safety', prefix(ids(48, 100)));
    const other = store.stats.bytes;
    const found = store.find('safety', prefix(ids(40)));
    store.forget(found);
    expect(find('safety', prefix(ids(64)))).toEqual([]);
    expect(find('helpfulness', prefix(ids(80)))).toEqual([]);
    expect(find('safety', prefix(ids(48, 100)))).toEqual(ids(32, 100));
    expect(store.stats).toMatchObject({ forgottenTokens: 64 + 80 });
    expect(store.stats.bytes).toBeGreaterThan(empty);
    keep('safety', prefix(ids(64)));
    store.forget(found);
    expect(find('safety', prefix(ids(64)))).toEqual(ids(48));
    keep('helpfulness', prefix(ids(80)));
    expect(store.stats.bytes).toBe(other);
  });
});

test('sums of a block count as memory, are renewed by who keeps it next, and decide how far it fits', () => {
  const { store } = stored();
  const sums = (width: number) => new Map([['0-16', new Float32Array(width)]]);
  const keep = (of: ((block: number) => ReturnType<typeof sums> | null) | undefined) =>
    store.keep('safety', prefix(ids(40)), {
      shared: null,
      own: (from) => Int32Array.from(ids(BLOCK_TOKENS, from)),
      ...(of && { sums: of }),
    });
  const fits = () => store.find('safety', prefix(ids(40)), (_, kept) => kept.has('0-16')).length;
  keep(undefined);
  const without = store.stats.bytes;
  expect(fits()).toBe(0);
  keep((block) => (block === 0 ? sums(8) : null));
  expect([fits(), store.stats.bytes]).toEqual([1, without + 32]);
  keep(() => sums(4));
  expect([fits(), store.stats.bytes]).toEqual([2, without + 32]);
  // Whoever has none leaves them.
  keep(() => null);
  keep(() => new Map());
  expect([fits(), store.stats.bytes]).toEqual([2, without + 32]);
  store.forget(store.find('safety', prefix(ids(40))));
  expect(store.stats.bytes).toBe(0);
});

test('a public block is kept without sums, so what one tenant asked for tells another nothing', () => {
  const asks = (tenant: string, sums: boolean) => {
    const one = prefix(ids(40), { tenant, publicTokens: 20 });
    const found = store.find('safety', one, (_, kept) => !sums || kept.has('0-16')).length;
    store.keep('safety', one, {
      shared: null,
      own: (from) => Int32Array.from(ids(BLOCK_TOKENS, from)),
      sums: () => (sums ? new Map([['0-16', new Float32Array(4)]]) : null),
    });
    return found;
  };
  const { store } = stored();
  expect([asks('acme', true), asks('acme', true), asks('other', true)]).toEqual([0, 0, 0]);
  expect([asks('acme', false), asks('other', false), asks('third', false)]).toEqual([2, 2, 1]);
});
