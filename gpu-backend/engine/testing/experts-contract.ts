/**
 * What every driver of experts must do: experts.ts as tests. A driver's own test file is its setup,
 * one call of this suite, and its oddities. Tests of abilities that a driver lacks are skipped.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Abilities, Experts, Output, Row, SequenceId, Source, Step } from '../experts.ts';
import { testAbilities } from './abilities-contract.ts';
import { byId, type Fed, feed, someIds } from './feed-experts.ts';
import { testPrefixes } from './prefixes-contract.ts';
import { testSums } from './sums-contract.ts';

export type DriverSetup = {
  /**
   * Makes experts over a vocabulary of at least 200 tokens and a context of at least 90. They must
   * differ, and their output must depend on every token. `prefixBytes` bounds the memory for kept
   * prefixes; it is ample if left out.
   */
  create: (options?: { prefixBytes?: number }) => Promise<Experts>;
  /** What the driver should be able to do. */
  abilities: Abilities;
  /**
   * How far a log-probability may be off when other sequences run with it; 0 if it must be the
   * same.
   */
  tolerance: number;
};
export function testExperts(name: string, { create, abilities, tolerance }: DriverSetup): void {
  /** Both rows have the same ids, and the same log-probabilities up to the tolerance. */
  function expectSame(found: Row, wanted: Row): void {
    const [a, b] = [byId(found), byId(wanted)];
    // The last bits may decide which id is the k-th likeliest.
    if (tolerance === 0 || abilities.topK === null) expect([...a.keys()]).toEqual([...b.keys()]);
    const worst = Math.max(...[...a].map(([id, lp]) => Math.abs(lp - (b.get(id) ?? lp))));
    expect(worst).toBeLessThanOrEqual(tolerance);
  }

  /** A row that was compared with another holds that one's likeliest ids too. */
  function expectContains(found: Row, wanted: Row): void {
    const row = byId(found);
    for (const [id, lp] of byId(wanted)) expect(Math.abs(lp - row.get(id)!)).toBeLessThanOrEqual(tolerance);
  }

  function expectDifferent(found: Row, wanted: Row): void {
    const [a, b] = [byId(found), byId(wanted)];
    expect([...a].some(([id, lp]) => Math.abs(lp - (b.get(id) ?? -50)) > 0.01)).toBe(true);
  }

  describe(`the contract of experts: ${name}`, () => {
    let experts: Experts;
    beforeAll(async () => {
      experts = await create();
    });
    afterAll(() => experts.dispose());

    /** The output of a new sequence after all of these ids, alone in its run. */
    async function alone(source: Source, fed: readonly number[] | Fed): Promise<Output> {
      const sequence = experts.open(source);
      const output = await feed(experts, sequence, fed);
      experts.close(sequence);
      return output;
    }

    test('says what it can do and what kind of rows it gives', async () => {
      expect(experts.abilities).toEqual(abilities);
      const { row, earlier, hidden, alpha } = await alone('safety', someIds(3));
      expect([earlier, hidden, alpha]).toEqual([[], null, null]);
      if ('logits' in row) {
        expect(abilities.topK).toBeNull();
        expect(row.logits).toHaveLength(experts.vocabSize);
      } else {
        expect(row.topK).toBe(abilities.topK);
        expect(row.ids).toHaveLength(row.topK);
      }
      const mass = [...byId(row).values()].reduce((sum, lp) => sum + Math.exp(lp), 0);
      expect(mass).toBeLessThanOrEqual(1 + 1e-6);
      expect(mass).toBeGreaterThan(0);
    });

    test('never gives a handle twice, and counts open sequences', async () => {
      const before = experts.openCount;
      const first = [experts.open('safety'), experts.open('helpfulness')];
      expect(experts.openCount).toBe(before + 2);
      for (const sequence of first) experts.close(sequence);
      const second = [experts.open('safety'), experts.open('safety')];
      expect(new Set([...first, ...second]).size).toBe(4);
      for (const sequence of [...second, ...second, ...first, 12345]) experts.close(sequence);
      expect(experts.openCount).toBe(before);
    });

    test('the experts differ, and their output depends on what they were fed', async () => {
      expectDifferent((await alone('safety', someIds(5))).row, (await alone('helpfulness', someIds(5))).row);
      expectDifferent((await alone('safety', someIds(5))).row, (await alone('safety', someIds(5, 1))).row);
    });

    test('gives the same row for tokens fed one by one, in parts or all at once', async () => {
      const ids = someIds(70);
      const whole = await alone('helpfulness', ids);
      const [single, parts] = [experts.open('helpfulness'), experts.open('helpfulness')];
      let last: Output | undefined;
      for (const id of ids) last = await feed(experts, single, [id]);
      expectSame(last!.row, whole.row);
      for (const part of [ids.slice(0, 40), ids.slice(40, 41), ids.slice(41)]) last = await feed(experts, parts, part);
      expectSame(last!.row, whole.row);
      for (const sequence of [single, parts]) experts.close(sequence);
    });

    test('a sequence gives the same output as alone, whatever else joins, advances, waits and leaves', async () => {
      const open = new Map<SequenceId, { source: Source; ids: number[] }>();
      /** Feeds some tokens to each of several sequences at once. */
      const feedAll = async (counts: [SequenceId, number][]) => {
        const steps = counts.map(([sequence, count]) => {
          const own = open.get(sequence)!;
          const ids = someIds(count, own.ids.length + sequence);
          own.ids.push(...ids);
          return { sequence, ids };
        });
        return Promise.all(experts.append(steps));
      };
      /** Feeds them, and compares the outputs. */
      const advance = async (...counts: [SequenceId, number][]) => {
        const outputs = await feedAll(counts);
        for (const [i, [sequence]] of counts.entries()) {
          const { source, ids } = open.get(sequence)!;
          expectSame(outputs[i]!.row, (await alone(source, ids)).row);
        }
      };
      const join = (source: Source) => {
        const sequence = experts.open(source);
        open.set(sequence, { source, ids: [] });
        return sequence;
      };
      const leave = (sequence: SequenceId) => {
        experts.close(sequence);
        open.delete(sequence);
      };
      const [a, b] = [join('safety'), join('helpfulness')];
      await advance([a, 9], [b, 3]);
      const c = join('helpfulness');
      await advance([c, 42]);
      await advance([a, 1], [b, 1], [c, 1]);
      await advance([c, 1], [a, 1]);
      leave(b);
      await advance([a, 1], [c, 1]);
      const [d, e] = [join('safety'), join('safety')];
      await advance([d, 5], [c, 1], [a, 7], [e, 1]);
      leave(a);
      await advance([e, 1], [c, 1]);
      await advance([d, 1]);
      const many = Array.from({ length: 9 }, (_, i) => join(i % 2 ? 'safety' : 'helpfulness'));
      await advance(...many.map((sequence, i): [SequenceId, number] => [sequence, i + 1]));
      await advance(...[...open.keys()].map((sequence): [SequenceId, number] => [sequence, 1]));
      for (const sequence of many.slice(2)) leave(sequence);
      // Long enough for a driver to tidy up if it does that. An output depends on all before it, so
      // a look now and then is enough; on a slow driver, it is what takes the time.
      for (let i = 1; i <= 20; i++) {
        const counts = [...open.keys()].map((sequence): [SequenceId, number] => [sequence, 1]);
        await (i % 5 === 0 ? advance(...counts) : feedAll(counts));
      }
      for (const sequence of [...open.keys()]) leave(sequence);
    });

    test('a mistaken step fails alone and leaves its sequence as it was', async () => {
      const [good, bad, closed] = [experts.open('safety'), experts.open('helpfulness'), experts.open('safety')];
      await Promise.all(experts.append([good, bad, closed].map((sequence) => ({ sequence, ids: someIds(6) }))));
      experts.close(closed);
      const mistakes: Step[] = [
        { sequence: bad, ids: [] },
        { sequence: bad, ids: [1, experts.vocabSize] },
        { sequence: bad, ids: [-1] },
        { sequence: bad, ids: [1.5] },
        { sequence: bad, ids: [1], want: { positions: 2 } },
        { sequence: bad, ids: [1], want: { positions: -1 } },
        { sequence: closed, ids: [1] },
        { sequence: 98765, ids: [1] },
      ];
      const ids = someIds(6);
      for (const mistake of mistakes) {
        ids.push(20);
        const [other, own] = await Promise.allSettled(experts.append([{ sequence: good, ids: [20] }, mistake]));
        expect(own).toMatchObject({ status: 'rejected', reason: { name: 'SequenceError' } });
        if (other!.status !== 'fulfilled') throw other!.reason;
        expectSame(other!.value.row, (await alone('safety', ids)).row);
      }
      const [once, twice] = await Promise.allSettled(
        experts.append([
          { sequence: bad, ids: [30] },
          { sequence: bad, ids: [31] },
        ]),
      );
      expect([once!.status, twice!.status]).toEqual(['fulfilled', 'rejected']);
      expectSame((await feed(experts, bad, [32])).row, (await alone('helpfulness', [...someIds(6), 30, 32])).row);
      for (const sequence of [good, bad]) experts.close(sequence);
    });

    test('each append waits for those before it', async () => {
      const [a, b] = [experts.open('safety'), experts.open('helpfulness')];
      const outputs = [someIds(5), [30], [31, 32]].flatMap((ids) =>
        experts.append([a, b].map((sequence) => ({ sequence, ids }))),
      );
      const last = (await Promise.all(outputs)).slice(-2);
      for (const [i, source] of (['safety', 'helpfulness'] as const).entries()) {
        expectSame(last[i]!.row, (await alone(source, [...someIds(5), 30, 31, 32])).row);
      }
      for (const sequence of [a, b]) experts.close(sequence);
    });

    test('a sequence closed while its step is under way is gone at once, and no other is affected', async () => {
      const [stays, goes] = [experts.open('safety'), experts.open('safety')];
      await Promise.all(experts.append([stays, goes].map((sequence) => ({ sequence, ids: someIds(6) }))));
      const before = experts.openCount;
      const steps = Promise.allSettled(experts.append([goes, stays].map((sequence) => ({ sequence, ids: [40] }))));
      await Promise.resolve();
      experts.close(goes);
      expect(experts.openCount).toBe(before - 1);
      const comes = experts.open('helpfulness');
      await steps;
      expectSame((await feed(experts, comes, someIds(9))).row, (await alone('helpfulness', someIds(9))).row);
      expectSame((await feed(experts, stays, [41])).row, (await alone('safety', [...someIds(6), 40, 41])).row);
      await expect(feed(experts, goes, [41])).rejects.toThrow(/no open sequence/);
      for (const sequence of [stays, comes]) experts.close(sequence);
    });

    test('sequences of different lengths advance together, as the rows of one answer do', async () => {
      const prompts = { safety: someIds(31, 3), helpfulness: someIds(4) };
      const rows = (['safety', 'helpfulness'] as const).map((source) => ({ source, sequence: experts.open(source) }));
      for (const answer of [[], [60], [60, 61]]) {
        const steps = rows.map(({ source, sequence }) => {
          const ids = answer.length === 0 ? prompts[source] : answer.slice(-1);
          return { sequence, ids, beside: rows.find((row) => row.source !== source)!.sequence };
        });
        const outputs = await Promise.all(experts.append(steps));
        for (const [i, { source }] of rows.entries()) {
          const { row } = await alone(source, [...prompts[source], ...answer]);
          if (abilities.topK === null) expectSame(outputs[i]!.row, row);
          else expectContains(outputs[i]!.row, row);
        }
      }
      for (const { sequence } of rows) experts.close(sequence);
    });

    test('after dispose, nothing is open and steps reject; disposing again is no error', async () => {
      const gone = await create();
      const sequence = gone.open('safety');
      const under = gone.append([{ sequence, ids: someIds(3) }]);
      await Promise.all([gone.dispose(), Promise.allSettled(under)]);
      expect(gone.openCount).toBe(0);
      await expect(feed(gone, sequence, [1])).rejects.toThrow();
      expect(() => gone.open('safety')).toThrow(/disposed/);
      await gone.dispose();
    });

    testAbilities({ abilities, tolerance, current: () => experts, alone, expectSame });
    testSums({ abilities, tolerance, current: () => experts });
    testPrefixes({ abilities, current: () => experts, create, alone, expectSame });
  });
}
