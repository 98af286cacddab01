/**
 * The part of the experts' contract that depends on a driver's abilities. A driver refuses what it
 * cannot do, and names it.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { type Abilities, type Experts, NO_OUTPUT, type Output, type Row, type Source } from '../experts.ts';
import { byId, type Fed, feed, someIds } from './feed-experts.ts';

export type AbilitiesSetup = {
  abilities: Abilities;
  tolerance: number;
  /** Returns the experts under test. Called when the suite runs. */
  current: () => Experts;
  alone: (source: Source, fed: readonly number[] | Fed) => Promise<Output>;
  expectSame: (found: Row, wanted: Row) => void;
};

export function testAbilities({ abilities, tolerance, current, alone, expectSame }: AbilitiesSetup): void {
  describe('its abilities', () => {
    let experts: Experts;
    beforeAll(() => {
      experts = current();
    });

    test.runIf(abilities.fork)('a fork goes on as the original would, and neither affects the other', async () => {
      const first = experts.open('safety');
      const ids = someIds(20);
      await feed(experts, first, ids);
      const second = experts.fork(first);
      expect(second).not.toBe(first);
      const [one, other] = await Promise.all(
        experts.append([
          { sequence: second, ids: [50, 51] },
          { sequence: first, ids: [60] },
        ]),
      );
      expectSame(one!.row, (await alone('safety', [...ids, 50, 51])).row);
      expectSame(other!.row, (await alone('safety', [...ids, 60])).row);
      experts.close(first);
      expectSame((await feed(experts, second, [70])).row, (await alone('safety', [...ids, 50, 51, 70])).row);
      expect(() => experts.fork(first)).toThrow(/no open sequence/);
      const under = feed(experts, second, [71]);
      expect(() => experts.fork(second)).toThrow(/under way/);
      await under;
      experts.close(second);
    });

    test.runIf(abilities.fork)('a fork of an empty sequence is an empty sequence', async () => {
      const first = experts.open('helpfulness');
      const second = experts.fork(first);
      expectSame((await feed(experts, second, someIds(4))).row, (await alone('helpfulness', someIds(4))).row);
      for (const sequence of [first, second]) experts.close(sequence);
    });

    test('a sequence that was cut goes on as if it had never been longer', async () => {
      const sequence = experts.open('safety');
      const ids = someIds(20);
      await feed(experts, sequence, ids);
      const under = feed(experts, sequence, [71]);
      expect(() => experts.cut(sequence, 12)).toThrow(/under way/);
      await under;
      expect(() => experts.cut(sequence, 22)).toThrow(/has 21 tokens/);
      experts.cut(sequence, 21);
      experts.cut(sequence, 12);
      expectSame((await feed(experts, sequence, [50])).row, (await alone('safety', [...ids.slice(0, 12), 50])).row);
      experts.cut(sequence, 0);
      expectSame((await feed(experts, sequence, [60, 61])).row, (await alone('safety', [60, 61])).row);
      experts.close(sequence);
      expect(() => experts.cut(sequence, 0)).toThrow(/no open sequence/);
    });

    test.skipIf(abilities.fork)('cannot fork, and says so', () => {
      const sequence = experts.open('safety');
      expect(() => experts.fork(sequence)).toThrow(/cannot fork/);
      experts.close(sequence);
    });

    test.runIf(abilities.hidden)('gives hidden states if asked', async () => {
      const sequences = [experts.open('safety'), experts.open('helpfulness')];
      const [plain, asked] = await Promise.all(
        experts.append(sequences.map((sequence, i) => ({ sequence, ids: someIds(5), want: { hidden: i === 1 } }))),
      );
      expect(plain!.hidden).toBeNull();
      expect(asked!.hidden).toBeInstanceOf(Float32Array);
      expect(asked!.hidden!.length).toBeGreaterThan(0);
      for (const sequence of sequences) experts.close(sequence);
    });

    test.skipIf(abilities.hidden)('gives no hidden states, and says so', async () => {
      await expect(alone('safety', { ids: [1], want: { hidden: true } })).rejects.toThrow(/no hidden states/);
    });

    test.runIf(abilities.layers)(
      'a layers sequence needs bounds and keeps its gate within them, even if they change at every step',
      async () => {
        const sequence = experts.open('layers');
        await expect(feed(experts, sequence, someIds(4))).rejects.toThrow(/needs bounds/);
        for (const [floor, ceiling] of [
          [0, 1],
          [0.7, 0.9],
          [0.1, 0.2],
          [1, 1],
        ] as const) {
          const { alpha } = await feed(experts, sequence, { ids: someIds(3), bounds: { floor, ceiling } });
          // Bounds are float32 in a graph.
          expect(alpha).toBeGreaterThanOrEqual(floor - 1e-6);
          expect(alpha).toBeLessThanOrEqual(ceiling + 1e-6);
        }
        experts.close(sequence);
      },
    );

    test.runIf(abilities.layers)('a layers sequence gives the same output alone as with others', async () => {
      const bounds = { floor: 0.4, ceiling: 1 };
      const wanted = await alone('layers', { ids: someIds(8), bounds });
      const sequences = (['safety', 'layers', 'layers', 'helpfulness'] as const).map((source) => experts.open(source));
      const outputs = await Promise.all(
        experts.append(
          sequences.map((sequence, i) => ({
            sequence,
            ids: someIds(8),
            bounds: i === 2 ? { floor: 0.8, ceiling: 1 } : bounds,
          })),
        ),
      );
      expectSame(outputs[1]!.row, wanted.row);
      expect(outputs[1]!.alpha).toBeCloseTo(wanted.alpha!, 6);
      expect(outputs.map(({ alpha }) => alpha !== null)).toEqual([false, true, true, false]);
      for (const sequence of sequences) experts.close(sequence);
    });

    test.skipIf(abilities.layers)('has no layers router, and says so', () => {
      expect(() => experts.open('layers')).toThrow(/a layers sequence needs experts with a layers router/);
    });

    test.runIf(abilities.score)('scores several positions at once just as it would one after another', async () => {
      const ids = someIds(8);
      const { row, earlier } = await alone('safety', { ids, want: { positions: 5 } });
      expect(earlier).toHaveLength(4);
      for (const [i, found] of [...earlier.map((one) => one.row), row].entries()) {
        expectSame(found, (await alone('safety', ids.slice(0, 4 + i))).row);
      }
    });

    test('reads tokens of which no row is wanted', async () => {
      const ids = someIds(24);
      const sequence = experts.open('helpfulness');
      const [read] = await Promise.all(experts.append([{ sequence, ids: ids.slice(0, 20), want: { positions: 0 } }]));
      expect(read).toEqual(NO_OUTPUT);
      expectSame((await feed(experts, sequence, ids.slice(20))).row, (await alone('helpfulness', ids)).row);
      experts.close(sequence);
    });

    test.runIf(abilities.score && abilities.hidden)('gives the hidden state of each position it scores', async () => {
      const ids = someIds(8);
      const { earlier, hidden } = await alone('helpfulness', { ids, want: { positions: 3, hidden: true } });
      for (const [i, found] of [...earlier.map((one) => one.hidden), hidden].entries()) {
        const read = { ids: ids.slice(0, 6 + i), want: { hidden: true } };
        const wanted = (await alone('helpfulness', read)).hidden!;
        expect(found).toHaveLength(wanted.length);
        expect(Math.max(...wanted.map((x, j) => Math.abs(x - found![j]!)))).toBeLessThanOrEqual(tolerance);
      }
      const plain = await alone('helpfulness', { ids, want: { positions: 3 } });
      expect(plain.earlier.map((one) => one.hidden)).toEqual([null, null]);
    });

    test.runIf(abilities.score && abilities.layers)('gives the gate of each position it scores', async () => {
      const [ids, bounds] = [someIds(8), { floor: 0.1, ceiling: 0.9 }];
      const { earlier, alpha } = await alone('layers', { ids, bounds, want: { positions: 3 } });
      for (const [i, found] of [...earlier.map((one) => one.alpha), alpha].entries()) {
        const wanted = (await alone('layers', { ids: ids.slice(0, 6 + i), bounds })).alpha!;
        expect(Math.abs(found! - wanted)).toBeLessThanOrEqual(tolerance);
      }
    });

    test.skipIf(abilities.score)('gives one row per step, and says so', async () => {
      await expect(alone('safety', { ids: [1, 2], want: { positions: 2 } })).rejects.toThrow(/one row a step/);
    });

    test.runIf(abilities.draft > 0)(
      'guesses greedily how a sequence goes on, feeds nothing, and gives the same rows after it as without',
      async () => {
        const [ids, last] = [someIds(8), someIds(1, 3)];
        const read = { ids, want: { positions: 0 } };
        const [sequence, beside] = [experts.open('helpfulness'), experts.open('safety')];
        await Promise.all([sequence, beside].map((one) => feed(experts, one, read)));
        const draft = await experts.draft(sequence, { ids: last, count: 4 });
        expect(draft.length).toBeGreaterThan(0);
        expect(draft.length).toBeLessThanOrEqual(4);
        const wanted: number[] = [];
        for (const guessed of draft) {
          const { row } = await alone('helpfulness', [...ids, ...last, ...wanted]);
          const [likeliest] = [...byId(row)].sort(([a, lpA], [b, lpB]) => lpB - lpA || a - b);
          expect(guessed).toBe(likeliest![0]);
          wanted.push(guessed);
        }
        const positions = 1 + draft.length;
        const outputs = await Promise.all(
          experts.append([
            { sequence, ids: [...last, ...draft], beside, want: { positions } },
            { sequence: beside, ids: [...last, ...draft], beside: sequence, want: { positions } },
          ]),
        );
        for (const [i, source] of (['helpfulness', 'safety'] as const).entries()) {
          const rows = [...outputs[i]!.earlier, outputs[i]!];
          expect(rows).toHaveLength(positions);
          for (const [length, { row }] of rows.entries()) {
            const own = await alone(source, [...ids, ...last, ...draft.slice(0, length)]);
            const found = byId(row);
            for (const [id, lp] of byId(own.row)) expect(Math.abs(lp - found.get(id)!)).toBeLessThanOrEqual(tolerance);
          }
        }
        experts.cut(sequence, ids.length);
        expectSame((await feed(experts, sequence, [40])).row, (await alone('helpfulness', [...ids, 40])).row);
        const [other, apart] = [await experts.draft(sequence, { ids: [41], count: 2 }), experts.fork(sequence)];
        // What was guessed after other tokens has no say.
        expectSame((await feed(experts, sequence, [42])).row, (await alone('helpfulness', [...ids, 40, 42])).row);
        expectSame(
          (await feed(experts, apart, [41, ...other])).row,
          (await alone('helpfulness', [...ids, 40, 41, ...other])).row,
        );
        for (const one of [sequence, beside, apart]) experts.close(one);
      },
    );

    test.runIf(abilities.draft > 0)('a guess that cannot be made harms nothing', async () => {
      const sequence = experts.open('safety');
      await feed(experts, sequence, someIds(5));
      for (const guess of [
        { ids: [], count: 1 },
        { ids: [experts.vocabSize], count: 1 },
        { ids: [1], count: 0 },
        { ids: [1], count: abilities.draft + 1 },
      ]) {
        await expect(experts.draft(sequence, guess)).rejects.toMatchObject({ name: 'SequenceError' });
      }
      const under = feed(experts, sequence, [30]);
      await expect(experts.draft(sequence, { ids: [31], count: 1 })).rejects.toThrow(/under way/);
      await under;
      expectSame((await feed(experts, sequence, [31])).row, (await alone('safety', [...someIds(5), 30, 31])).row);
      experts.close(sequence);
      await expect(experts.draft(sequence, { ids: [31], count: 1 })).rejects.toThrow(/no open sequence/);
    });

    test.skipIf(abilities.draft > 0)('cannot guess how a sequence goes on, and says so', async () => {
      const sequence = experts.open('safety');
      await feed(experts, sequence, someIds(3));
      await expect(experts.draft(sequence, { ids: [1], count: 1 })).rejects.toThrow(/cannot guess/);
      experts.close(sequence);
    });

    test.runIf(abilities.topK !== null)(
      'truncated rows that are compared hold the ids of both, each with its own log-probabilities',
      async () => {
        const ids = someIds(6);
        const own = { safety: (await alone('safety', ids)).row, helpfulness: (await alone('helpfulness', ids)).row };
        const [safety, helpfulness] = [experts.open('safety'), experts.open('helpfulness')];
        const rows = (
          await Promise.all(
            experts.append([
              { sequence: safety, ids, beside: helpfulness },
              { sequence: helpfulness, ids, beside: safety },
            ]),
          )
        ).map(({ row }) => byId(row));
        const union = new Set([...byId(own.safety).keys(), ...byId(own.helpfulness).keys()]);
        expect(union.size).toBeGreaterThan(abilities.topK!);
        for (const row of rows) expect([...row.keys()]).toEqual([...union].sort((a, b) => a - b));
        for (const [id, lp] of byId(own.safety))
          expect(Math.abs(rows[0]!.get(id)! - lp)).toBeLessThanOrEqual(tolerance);
        for (const [id, lp] of byId(own.helpfulness))
          expect(Math.abs(rows[1]!.get(id)! - lp)).toBeLessThanOrEqual(tolerance);
        // If one step fails, the other's row holds only its own ids.
        const [alive, failed] = await Promise.allSettled(
          experts.append([
            { sequence: safety, ids: [30], beside: helpfulness },
            { sequence: helpfulness, ids: [], beside: safety },
          ]),
        );
        expect(failed!.status).toBe('rejected');
        if (alive!.status !== 'fulfilled') throw alive!.reason;
        expectSame(alive!.value.row, (await alone('safety', [...ids, 30])).row);
        for (const sequence of [safety, helpfulness]) experts.close(sequence);
      },
    );
  });
}
