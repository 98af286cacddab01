import { expect, test } from 'vitest';
import { gateWords, isCostly, spentBy } from './gate.ts';

const token = (spent: number | null) => ({
  ...{ id: 1, text: 'a', weight: 0.5, floor: 0.3, lp_s: -1, lp_h: -1, lp: -1 },
  spent,
});

test('what a token has spent is the difference to the one before', () => {
  const tokens = [token(0.5), token(0.25), token(1.25), token(null), token(2)];
  expect(tokens.map((_, index) => spentBy(tokens, index))).toEqual([0.5, -0.25, 1, null, null]);
  expect(tokens.map((_, index) => isCostly(tokens, index))).toEqual([false, false, true, false, false]);
});

test.each([
  [{ weight: 1, floor: 0.3 }, /drew alone/],
  [{ weight: Math.fround(0.3), floor: 0.3 }, /floor held/],
  [{ weight: 0.31, floor: 0.3 }, /own proposal/],
  [{ weight: 0, floor: 0 }, /own proposal/],
])('%j', (numbers, words) => {
  expect(gateWords(numbers)).toMatch(words);
});
