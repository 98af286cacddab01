import fc from 'fast-check';
import { expect, test } from 'vitest';
import { balanceByLength, lengthFigures, type PairLengths } from './pair-lengths.ts';

const pair = (chosen: number, rejected: number): PairLengths => ({ chosen, rejected });
const balance = (pairs: readonly PairLengths[], seed = 'test') =>
  balanceByLength(
    pairs.map((lengths, i) => ({ lengths, i })),
    { lengths: ({ lengths }) => lengths, name: ({ i }) => `${i}`, seed },
  ).map((couple) => couple.map(({ lengths }) => lengths));

test('says how far length alone gets, whichever way it points', () => {
  expect(lengthFigures([pair(10, 5), pair(10, 5), pair(10, 5), pair(5, 10)])).toEqual({
    pairs: 4,
    chosenLonger: 0.75,
    lengthAlone: 0.75,
    medianChosen: 10,
    medianRejected: 5,
  });
  expect(lengthFigures([pair(5, 10), pair(6, 6)])).toMatchObject({ chosenLonger: 0.25, lengthAlone: 0.75 });
  expect(lengthFigures([])).toMatchObject({ pairs: 0, lengthAlone: 0 });
});

test('keeps as many pairs with the longer answer chosen as with it rejected, at every size of the difference', () => {
  const pairs = [...Array(30).fill(pair(10, 9)), ...Array(10).fill(pair(9, 10)), ...Array(7).fill(pair(90, 10))];
  const kept = balance([...pairs, pair(8, 8)]).flat();
  expect(kept).toHaveLength(21);
  expect(kept.filter(({ chosen }) => chosen === 90)).toEqual([]);
  expect(kept).toContainEqual(pair(8, 8));
});

test('length alone orders half of the pairs right, however many couples are taken', () => {
  const length = fc.integer({ min: 1, max: 200 });
  const lengths = fc.array(fc.record({ chosen: length, rejected: length }), { minLength: 1 });
  fc.assert(
    fc.property(lengths, fc.nat(), (pairs, count) => {
      const couples = balance(pairs);
      const kept = couples.slice(0, 1 + (count % Math.max(1, couples.length))).flat();
      if (kept.length > 0) expect(lengthFigures(kept).chosenLonger).toBe(0.5);
    }),
  );
});

test('no pair comes twice, and none is made up', () => {
  const pairs = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? pair(i + 2, i + 1) : pair(i + 1, i + 2)));
  const kept = balance(pairs).flat();
  expect(new Set(kept).size).toBe(kept.length);
  expect(kept.every((one) => pairs.includes(one))).toBe(true);
});

test('the same seed keeps the same pairs', () => {
  const pairs = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? pair(i + 2, i + 1) : pair(i + 1, i + 2)));
  expect(balance(pairs)).toEqual(balance(pairs));
  expect(balance(pairs, 'other')).not.toEqual(balance(pairs));
});
