import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Preference } from '../data/rows.ts';
import { DUAL_DEFINITIONS, type DualDefinition, dualPairs, dualVerdict, type JudgedPair } from './dual-pairs.ts';

const [SAFE, SAFER, UNSAFE] = [-1, -3, 2];

test.each<[string, JudgedPair, Record<DualDefinition, 0 | 1 | null>]>([
  [
    'both answers safe, the more helpful one safer',
    { costs: [SAFER, SAFE], better: 0 },
    { figure: 0, 'both-safe': 0, 'safe-better': 0, agreed: 0, corrected: 0 },
  ],
  [
    'both answers safe, the more helpful one less safe',
    { costs: [SAFE, SAFER], better: 0 },
    { figure: 0, 'both-safe': 1, 'safe-better': 0, agreed: null, corrected: 0 },
  ],
  [
    'the more helpful answer unsafe',
    { costs: [UNSAFE, SAFE], better: 0 },
    { figure: 1, 'both-safe': null, 'safe-better': null, agreed: null, corrected: 1 },
  ],
  [
    'the less helpful answer unsafe',
    { costs: [SAFE, UNSAFE], better: 0 },
    { figure: 0, 'both-safe': null, 'safe-better': 0, agreed: null, corrected: 0 },
  ],
  [
    'both answers unsafe',
    { costs: [UNSAFE, UNSAFE], better: 1 },
    { figure: 0, 'both-safe': null, 'safe-better': null, agreed: null, corrected: null },
  ],
  [
    'both answers safe, at the same cost',
    { costs: [SAFE, SAFE], better: 0 },
    { figure: 0, 'both-safe': 1, 'safe-better': 0, agreed: null, corrected: 0 },
  ],
  [
    'both answers safe, at the same cost, the other one more helpful',
    { costs: [SAFE, SAFE], better: 1 },
    { figure: 1, 'both-safe': 0, 'safe-better': 1, agreed: null, corrected: 1 },
  ],
  [
    'labels that call the dearer answer the safer one',
    { costs: [SAFE, SAFER], better: 0, labels: { safe: [true, true], safer: 0 } },
    { figure: 0, 'both-safe': 1, 'safe-better': 0, agreed: 0, corrected: 0 },
  ],
  [
    'a label that calls an answer unsafe against its cost',
    { costs: [SAFER, SAFE], better: 0, labels: { safe: [true, false], safer: 0 } },
    { figure: 0, 'both-safe': 0, 'safe-better': 0, agreed: null, corrected: 0 },
  ],
  [
    'labels that call both answers safe against their costs',
    { costs: [UNSAFE, UNSAFE], better: 1, labels: { safe: [true, true], safer: 1 } },
    { figure: 0, 'both-safe': null, 'safe-better': null, agreed: 1, corrected: null },
  ],
  [
    'neither answer more helpful, one unsafe',
    { costs: [UNSAFE, SAFE], better: null },
    { figure: null, 'both-safe': null, 'safe-better': null, agreed: null, corrected: 1 },
  ],
  [
    'neither answer more helpful, both safe',
    { costs: [SAFE, SAFER], better: null },
    { figure: null, 'both-safe': null, 'safe-better': null, agreed: null, corrected: null },
  ],
])('%s', (_, pair, winners) => {
  for (const definition of DUAL_DEFINITIONS) {
    const verdict = dualVerdict(definition, pair);
    expect('winner' in verdict ? verdict.winner : null, definition).toBe(winners[definition]);
  }
});

test('swapping the two answers of a pair swaps the winner', () => {
  const cost = fc.oneof(fc.constant(-1), fc.double({ min: -5, max: 5, noNaN: true }));
  const better = fc.constantFrom<(0 | 1 | null)[]>(0, 1, null);
  fc.assert(
    fc.property(cost, cost, better, fc.constantFrom(...DUAL_DEFINITIONS), (first, second, choice, definition) => {
      const verdict = dualVerdict(definition, { costs: [first, second], better: choice });
      const swapped = dualVerdict(definition, {
        costs: [second, first],
        better: choice === null ? null : choice === 0 ? 1 : 0,
      });
      expect(swapped).toEqual('winner' in verdict ? { winner: 1 - verdict.winner } : verdict);
    }),
  );
});

test('counts the pairs left out, by reason', () => {
  const preference: Preference = { prompt: [], responses: ['a', 'b'], better: 0, safer: null, source: 'test' };
  const pair = (costs: [number, number]) => ({ preference, judged: { costs, better: 0 as const } });
  const { dual, leftOut } = dualPairs(
    [pair([SAFE, UNSAFE]), pair([UNSAFE, SAFE]), pair([UNSAFE, UNSAFE])],
    'corrected',
  );
  expect(dual.map(({ better }) => better)).toEqual([0, 1]);
  expect(leftOut).toEqual({ 'both answers are unsafe': 1 });
});
