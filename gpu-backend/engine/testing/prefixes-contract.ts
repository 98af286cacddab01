/**
 * The part of the experts' contract about kept prefixes: who finds what, and that nobody can tell
 * from a row whether its tokens were read or recalled.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Abilities, Experts, Output, Prefix, Row, SequenceId, Source } from '../experts.ts';
import { type Fed, feed, someIds } from './feed-experts.ts';

export type PrefixesSetup = {
  abilities: Abilities;
  /** Returns the experts under test. Called when the suite runs. */
  current: () => Experts;
  create: (options: { prefixBytes: number }) => Promise<Experts>;
  alone: (source: Source, fed: readonly number[] | Fed) => Promise<Output>;
  expectSame: (found: Row, wanted: Row) => void;
};

/** Each test has prefixes of its own, which no other test has kept. */
let seed = 1000;
const newIds = (count: number) => [200 + (seed % 50), ...someIds(count - 1, seed++)];

const of = (ids: readonly number[], rest: Partial<Omit<Prefix, 'ids'>> = {}): Prefix => ({
  ids,
  scope: { tenant: 'acme', publicTokens: 0 },
  ...rest,
});

export function testPrefixes({ abilities, current, create, alone, expectSame }: PrefixesSetup): void {
  describe.skipIf(abilities.prefixes)('without kept prefixes', () => {
    test('says so', () => {
      const experts = current();
      const sequence = experts.open('safety');
      expect(() => experts.recall(sequence, of(someIds(4)))).toThrow(/no prefixes/);
      expect(() => experts.keep(sequence, of(someIds(4)))).toThrow(/no prefixes/);
      expect(experts.prefixStats).toEqual({ queriedTokens: 0, foundTokens: 0, forgottenTokens: 0, bytes: 0 });
      experts.close(sequence);
    });
  });

  describe.runIf(abilities.prefixes)('kept prefixes', () => {
    let experts: Experts;
    beforeAll(() => {
      experts = current();
    });

    /** Reads a prefix in a sequence of its own, and keeps it. */
    async function keep(prefix: Prefix, source: Source = 'safety', from = experts): Promise<void> {
      const sequence = from.open(source);
      const { ids, bounds } = prefix;
      await feed(from, sequence, { ids, ...(bounds && { bounds }) });
      from.keep(sequence, prefix);
      from.close(sequence);
    }

    /** How much of a prefix a new sequence can recall. */
    function known(prefix: Prefix, source: Source = 'safety', from = experts): number {
      const sequence = from.open(source);
      const length = from.recall(sequence, prefix);
      from.close(sequence);
      return length;
    }

    test('recalling a prefix and feeding the rest gives the row of feeding everything', async () => {
      const ids = newIds(70);
      expect(known(of(ids))).toBe(0);
      await keep(of(ids));
      for (const rest of [[], [44], someIds(15)]) {
        const sequence = experts.open('safety');
        const whole = [...ids.slice(0, 70 - rest.length), ...rest];
        const length = experts.recall(sequence, of(whole));
        expect(length).toBeGreaterThan(30);
        expect(length).toBeLessThan(whole.length);
        expectSame((await feed(experts, sequence, whole.slice(length))).row, (await alone('safety', whole)).row);
        expectSame((await feed(experts, sequence, [55])).row, (await alone('safety', [...whole, 55])).row);
        experts.close(sequence);
      }
    });

    test('recalls what a prompt has in common with a kept one, up to where they differ', async () => {
      const ids = newIds(64);
      await keep(of(ids));
      const other = [...ids.slice(0, 50), ...newIds(14)];
      const sequence = experts.open('safety');
      const length = experts.recall(sequence, of(other));
      expect(length).toBeGreaterThan(0);
      expect(length).toBeLessThanOrEqual(50);
      expectSame((await feed(experts, sequence, other.slice(length))).row, (await alone('safety', other)).row);
      experts.close(sequence);
      expect(known(of([...newIds(1), ...ids.slice(1)]))).toBe(0);
    });

    test('always leaves a token to feed', async () => {
      const ids = newIds(64);
      await keep(of(ids));
      for (let count = 1; count <= 64; count++) expect(known(of(ids.slice(0, count)))).toBeLessThan(count);
    });

    test('several sequences recall at once, beside others that read', async () => {
      const [first, second, third] = [newIds(50), newIds(70), newIds(40)];
      await keep(of(first));
      await keep(of(second), 'helpfulness');
      const asked: [Source, number[]][] = [
        ['safety', first],
        ['safety', third],
        ['helpfulness', second],
        ['safety', first],
        ['helpfulness', third],
      ];
      const steps = asked.map(([source, ids]) => {
        const sequence = experts.open(source);
        return { sequence, ids: ids.slice(experts.recall(sequence, of(ids))) };
      });
      const outputs = await Promise.all(experts.append(steps));
      for (const [i, [source, ids]] of asked.entries()) {
        expectSame(outputs[i]!.row, (await alone(source, ids)).row);
      }
      for (const { sequence } of steps) experts.close(sequence);
    });

    test.runIf(abilities.fork)('a sequence that has recalled may be cut, forked and kept again', async () => {
      const ids = newIds(64);
      await keep(of(ids));
      for (const at of [40, 3, 0]) {
        const sequence = experts.open('safety');
        expect(experts.recall(sequence, of(ids))).toBeGreaterThan(40);
        experts.cut(sequence, at);
        const fork = experts.fork(sequence);
        const rest = newIds(30);
        const wanted = await alone('safety', [...ids.slice(0, at), ...rest]);
        expectSame((await feed(experts, sequence, rest)).row, wanted.row);
        expectSame((await feed(experts, fork, rest)).row, wanted.row);
        experts.keep(fork, of([...ids.slice(0, at), ...rest]));
        for (const one of [sequence, fork]) experts.close(one);
      }
      // What was cut here is still there for others.
      expect(known(of(ids))).toBeGreaterThan(40);
    });

    test('a kept answer goes on as the next turn’s prompt', async () => {
      const [prompt, answer, next] = [newIds(20), newIds(30), newIds(10)];
      const sequence = experts.open('safety');
      await feed(experts, sequence, prompt);
      for (const id of answer) await feed(experts, sequence, { ids: [id], reads: 'answer' });
      experts.keep(sequence, of([...prompt, ...answer]));
      experts.close(sequence);
      const whole = [...prompt, ...answer, ...next];
      const following = experts.open('safety');
      const length = experts.recall(following, of(whole));
      expect(length).toBeGreaterThan(30);
      expectSame((await feed(experts, following, whole.slice(length))).row, (await alone('safety', whole)).row);
      experts.close(following);
    });

    test('another source does not find it', async () => {
      const ids = newIds(64);
      await keep(of(ids), 'safety');
      expect(known(of(ids), 'helpfulness')).toBe(0);
      await keep(of(ids), 'helpfulness');
      const wanted = await alone('helpfulness', ids);
      const sequence = experts.open('helpfulness');
      const length = experts.recall(sequence, of(ids));
      expectSame((await feed(experts, sequence, ids.slice(length))).row, wanted.row);
      experts.close(sequence);
    });

    test('another tenant does not find it, and the tenant without a name is one of its own', async () => {
      const ids = newIds(64);
      const by = (tenant: string) => of(ids, { scope: { tenant, publicTokens: 0 } });
      await keep(by('acme'));
      expect(known(by('globex'))).toBe(0);
      expect(known(by(''))).toBe(0);
      expect(known(by('acme'))).toBeGreaterThan(0);
    });

    test('everybody finds public tokens, and only those', async () => {
      const ids = newIds(80);
      const by = (tenant: string, publicTokens: number) => of(ids, { scope: { tenant, publicTokens } });
      await keep(by('acme', 40));
      const found = known(by('globex', 40));
      expect(found).toBeGreaterThan(0);
      expect(found).toBeLessThanOrEqual(40);
      expect(known(by('acme', 40))).toBeGreaterThan(40);
      const sequence = experts.open('safety');
      experts.recall(sequence, by('globex', 40));
      expectSame((await feed(experts, sequence, ids.slice(found))).row, (await alone('safety', ids)).row);
      experts.close(sequence);
    });

    test.runIf(abilities.layers)('a layers sequence finds what was read under the same bounds only', async () => {
      const ids = newIds(64);
      const bounds = { floor: 0.4, ceiling: 0.9 };
      await keep(of(ids, { bounds }), 'layers');
      expect(known(of(ids, { bounds: { floor: 0.4, ceiling: 1 } }), 'layers')).toBe(0);
      expect(known(of(ids, { bounds: { floor: 0.5, ceiling: 0.9 } }), 'layers')).toBe(0);
      expect(known(of(ids), 'safety')).toBe(0);
      const sequence = experts.open('layers');
      expect(() => experts.recall(sequence, of(ids))).toThrow(/needs bounds/);
      const length = experts.recall(sequence, of(ids, { bounds }));
      expect(length).toBeGreaterThan(0);
      const [found, wanted] = [
        await feed(experts, sequence, { ids: ids.slice(length), bounds }),
        await alone('layers', { ids, bounds }),
      ];
      expectSame(found.row, wanted.row);
      expect(found.alpha).toBeCloseTo(wanted.alpha!, 5);
      expect(() => experts.keep(sequence, of(ids))).toThrow(/needs bounds/);
      experts.close(sequence);
    });

    test('refuses a sequence that is closed, under way, not empty, or shorter than what to keep', async () => {
      const ids = newIds(20);
      const sequence = experts.open('safety');
      expect(() => experts.keep(sequence, of(ids))).toThrow(/has 0 tokens/);
      const under = feed(experts, sequence, ids);
      expect(() => experts.recall(sequence, of(ids))).toThrow(/under way/);
      expect(() => experts.keep(sequence, of(ids))).toThrow(/under way/);
      await under;
      expect(() => experts.recall(sequence, of(ids))).toThrow(/not empty/);
      expect(() => experts.keep(sequence, of([...ids, 1]))).toThrow(/has 20 tokens/);
      experts.close(sequence);
      for (const act of ['recall', 'keep'] as const) {
        expect(() => experts[act](sequence, of(ids))).toThrow(/no open sequence/);
      }
    });

    test('stays within its memory, and forgets what was not used for longest', async () => {
      const prompts = Array.from({ length: 6 }, () => of(newIds(33)));
      const roomy = await create({ prefixBytes: 2 ** 30 });
      for (const prompt of prompts.slice(0, 3)) await keep(prompt, 'safety', roomy);
      // As much as three of them take.
      const prefixBytes = roomy.prefixStats.bytes;
      await roomy.dispose();
      const small = await create({ prefixBytes });
      for (const [i, prompt] of prompts.entries()) {
        await keep(prompt, 'safety', small);
        expect(small.prefixStats.bytes).toBeLessThanOrEqual(prefixBytes);
        // The first one is used all the time.
        if (i > 0) expect(known(prompts[0]!, 'safety', small)).toBeGreaterThan(0);
      }
      expect(small.prefixStats.bytes).toBe(prefixBytes);
      expect(small.prefixStats.forgottenTokens).toBeGreaterThan(0);
      const left: SequenceId[] = [];
      const found = prompts.map((prompt) => {
        const sequence = small.open('safety');
        left.push(sequence);
        return small.recall(sequence, prompt) > 0;
      });
      expect(found).toEqual([true, false, false, false, true, true]);
      for (const sequence of left) small.close(sequence);
      await small.dispose();
    });

    test('counts the tokens that it was asked for and those that it found', async () => {
      const ids = newIds(64);
      await keep(of(ids));
      const before = experts.prefixStats;
      const found = known(of(ids));
      known(of(newIds(30)));
      const after = experts.prefixStats;
      expect(after.queriedTokens - before.queriedTokens).toBe(94);
      expect(after.foundTokens - before.foundTokens).toBe(found);
    });
  });
}
