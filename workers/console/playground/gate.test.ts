import { expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { budgetWords, gateWords, isCostly, spentBy } from './gate.ts';
import { lineOf } from './line-of.ts';

const token = (spent: number | null) => ({
  ...{ id: 1, text: 'a', weight: 0.5, floor: 0.3, lp_s: -1, lp_h: -1, lp: -1 },
  spent,
});

test('what a token has spent is the difference to the one before', () => {
  const tokens = [token(0.5), token(0.25), token(1.25), token(null), token(2)];
  expect(tokens.map((_, index) => spentBy(tokens, index))).toEqual([0.5, -0.25, 1, null, null]);
  expect(tokens.map((_, index) => isCostly(tokens, index))).toEqual([false, false, true, false, false]);
});

const line = { ceiling: 1, budget: 20, earned: null };

test.each([
  [{ weight: 1, floor: 0.3 }, line, /drew alone/],
  [{ weight: Math.fround(0.3), floor: 0.3 }, line, /floor held/],
  [{ weight: 0.31, floor: 0.3 }, line, /own proposal/],
  [{ weight: 0, floor: 0 }, line, /own proposal/],
  [{ weight: Math.fround(0.05), floor: 0 }, { ...line, ceiling: 0.05 }, /ceiling held/],
  // A floor above the ceiling wins.
  [{ weight: 0.3, floor: 0.3 }, { ...line, ceiling: 0.05 }, /floor held/],
  [{ weight: 0.04, floor: 0 }, { ...line, ceiling: 0.05 }, /own proposal/],
  // Until the receipt has come, nobody knows the ceiling.
  [{ weight: 0.31, floor: 0.3 }, null, /^The router’s proposal, or the line’s ceiling/],
])('%j under %j', (numbers, held, words) => {
  expect(gateWords({ ...token(0), ...numbers }, held)).toMatch(words);
});

test.each([
  ['with much left', [1, 2], { ...line, budget: 3 }, null],
  ['at the budget', [1, 3], { ...line, budget: 3 }, /capped/],
  ['after it', [3, 2.5], { ...line, budget: 3 }, /was spent before.*safety expert’s own/],
  ['at what was earned so far', [1, 1.5], { ...line, earned: { start: 0.5, rate: 0.5 } }, /capped/],
  ['without a budget', [1, 3], { ...line, budget: null }, null],
  ['without numbers', [null, 3], { ...line, budget: 3 }, null],
  ['before the receipt', [1, 3], null, null],
])('what the budget did: %s', (_, spent, held, words) => {
  const said = budgetWords(spent.map(token), { index: 1, line: held });
  if (words === null) expect(said).toBeNull();
  else expect(said).toMatch(words);
});

test('the line that was held is read off the receipt', () => {
  const held = { ...OPEN_LINE, ceiling: 0.05 };
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  expect(lineOf(`${part({ alg: 'EdDSA' })}.${part({ tenant: 'Löwe', line: held })}.c2ln`)).toEqual(held);
  expect(lineOf(`${part({})}.${part({ refused: true })}.c2ln`)).toBeNull();
  expect(lineOf('no receipt')).toBeNull();
});
