/**
 * The part of the experts' contract about sums of hidden states: that they depend on nothing but
 * the tokens, however these were fed, recalled, forked or cut.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Span } from '../../model/looked-messages.ts';
import type { Abilities, Experts, SequenceId } from '../experts.ts';
import { feed, someIds } from './feed-experts.ts';

export type SumsSetup = {
  abilities: Abilities;
  tolerance: number;
  /** Returns the experts under test. Called when the suite runs. */
  current: () => Experts;
};

/** Each test has prefixes of its own, which no other test has kept. */
let seed = 3000;
const newIds = (count: number) => [150 + (seed % 50), ...someIds(count - 1, seed++)];

/** Spans that overlap, meet, and cross the borders of blocks; single tokens; and all. */
const SPANS: readonly Span[] = [
  { from: 0, to: 1 },
  { from: 3, to: 20 },
  { from: 20, to: 37 },
  { from: 5, to: 9 },
  { from: 36, to: 37 },
  { from: 0, to: 40 },
];

export function testSums({ abilities, tolerance, current }: SumsSetup): void {
  test.skipIf(abilities.sums)('sums no hidden states, and says so', () => {
    expect(() => current().open('safety', { sums: [{ from: 0, to: 1 }] })).toThrow(/sum no hidden states/);
    const sequence = current().open('safety');
    expect(current().sums(sequence)).toEqual([]);
    current().close(sequence);
  });

  describe.runIf(abilities.sums)('sums of hidden states', () => {
    let experts: Experts;
    beforeAll(() => {
      experts = current();
    });

    const scope = { tenant: 'acme', publicTokens: 0 };

    function expectSame(found: readonly (Float32Array | null)[], wanted: readonly (Float32Array | null)[]): void {
      expect(found).toHaveLength(wanted.length);
      for (const [i, sum] of found.entries()) {
        expect(sum).toHaveLength(wanted[i]!.length);
        // A sum over n tokens may be off n times as far as a state.
        const worst = Math.max(...sum!.map((x, j) => Math.abs(x - wanted[i]![j]!)));
        expect(worst).toBeLessThanOrEqual(40 * tolerance);
      }
    }

    async function fed(ids: readonly number[], cuts: readonly number[] = [], spans = SPANS): Promise<SequenceId> {
      const sequence = experts.open('safety', { sums: spans });
      for (const [i, to] of [...cuts, ids.length].entries()) {
        const part = ids.slice(cuts[i - 1] ?? 0, to);
        // As the chunks of a prompt are read: without a row, but for the last.
        await feed(experts, sequence, { ids: part, want: { positions: to === ids.length ? 1 : 0 } });
      }
      return sequence;
    }

    /** The sums of a sequence that is closed now. */
    function taken(sequence: SequenceId): (Float32Array | null)[] {
      const sums = experts.sums(sequence);
      experts.close(sequence);
      return sums;
    }

    test('a sum is that of the states of its tokens, one by one', async () => {
      const ids = someIds(40);
      const single = Array.from({ length: 40 }, (_, at) => ({ from: at, to: at + 1 }));
      const states = taken(await fed(ids, [], single));
      const width = states[0]!.length;
      const wanted = SPANS.map(({ from, to }) =>
        Float32Array.from({ length: width }, (_, i) =>
          states.slice(from, to).reduce((sum, state) => sum + state![i]!, 0),
        ),
      );
      expectSame(taken(await fed(ids)), wanted);
      expect(wanted[1]).not.toEqual(wanted[2]);
    });

    test('they are the same in parts, beside others and for any end', async () => {
      const ids = someIds(40, 3);
      const wanted = taken(await fed(ids));
      expectSame(taken(await fed(ids, [1, 2, 18, 33])), wanted);
      expectSame(taken(await fed([...ids, 77], [7])), wanted);
      const spans = [SPANS, [{ from: 2, to: 4 }]];
      const [one, other] = spans.map((sums) => experts.open('safety', { sums })) as [SequenceId, SequenceId];
      const plain = experts.open('helpfulness');
      await Promise.all(
        experts.append([
          { sequence: plain, ids: someIds(9, 8) },
          { sequence: one, ids },
          { sequence: other, ids: someIds(5, 8) },
        ]),
      );
      expectSame(taken(one), wanted);
      expectSame(taken(other), taken(await fed(someIds(5, 8), [], spans[1])));
      expect(taken(plain)).toEqual([]);
    });

    test('a span is null until all of its tokens have been fed', async () => {
      const sequence = await fed(someIds(20));
      expect(experts.sums(sequence).map((sum) => sum === null)).toEqual([false, false, true, false, true, true]);
      experts.close(sequence);
      expect(() => experts.sums(sequence)).toThrow(/no open sequence/);
      expect(() => experts.open('safety', { sums: [{ from: 2, to: 2 }] })).toThrow(/at least one token/);
    });

    test.runIf(abilities.fork)('a fork has the sums so far, and goes its own way', async () => {
      const ids = someIds(40, 5);
      const sequence = await fed(ids.slice(0, 30));
      const fork = experts.fork(sequence);
      await feed(experts, sequence, someIds(10, 99));
      await feed(experts, fork, ids.slice(30));
      expectSame(taken(fork), taken(await fed(ids)));
      experts.close(sequence);
    });

    test('what was cut counts no more', async () => {
      const ids = someIds(40, 6);
      const sequence = await fed([...ids.slice(0, 25), ...someIds(15, 98)], [25]);
      experts.cut(sequence, 25);
      await feed(experts, sequence, ids.slice(25));
      expectSame(taken(sequence), taken(await fed(ids)));
    });

    test('a step that fails adds nothing', async () => {
      const ids = someIds(40, 7);
      const sequence = await fed(ids.slice(0, 10));
      await expect(feed(experts, sequence, [...ids.slice(10), experts.vocabSize])).rejects.toThrow();
      await feed(experts, sequence, ids.slice(10));
      expectSame(taken(sequence), taken(await fed(ids)));
    });

    test.runIf(abilities.prefixes)('what was recalled has the sums of what was read', async () => {
      const ids = newIds(64);
      const first = await fed(ids);
      experts.keep(first, { ids, scope });
      for (const rest of [[], someIds(20, 4)]) {
        const whole = [...ids.slice(0, 64 - rest.length), ...rest];
        const sequence = experts.open('safety', { sums: SPANS });
        const length = experts.recall(sequence, { ids: whole, scope });
        expect(length).toBeGreaterThan(30);
        await feed(experts, sequence, whole.slice(length));
        expectSame(taken(sequence), taken(await fed(whole)));
      }
      experts.close(first);
    });

    test.runIf(abilities.prefixes)(
      'what was kept with other sums is recalled only as far as they are the same',
      async () => {
        const ids = newIds(64);
        const recalled = (sums: readonly Span[]) => {
          const sequence = experts.open('safety', { sums });
          const length = experts.recall(sequence, { ids, scope });
          experts.close(sequence);
          return length;
        };
        const keep = async (spans: readonly Span[]) => {
          const sequence = await fed(ids, [], spans);
          experts.keep(sequence, { ids, scope });
          experts.close(sequence);
        };
        await keep([]);
        expect([recalled([]), recalled(SPANS), recalled([{ from: 35, to: 50 }])]).toEqual([48, 0, 32]);
        await keep([{ from: 0, to: 18 }]);
        expect(recalled([{ from: 0, to: 18 }])).toBe(48);
        expect(recalled([{ from: 0, to: 17 }])).toBe(16);
        await keep(SPANS);
        expect([recalled(SPANS), recalled([]), recalled([{ from: 0, to: 18 }])]).toEqual([48, 48, 16]);
      },
    );
  });
}
