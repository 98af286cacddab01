import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareTokens } from './compare-tokens.ts';

const NONE = { lost: 0, doubled: 0, wrong: 0 };

test.each([
  [[1, 2, 3, 4], NONE],
  [[1, 3, 4], { ...NONE, lost: 1 }],
  [[1, 2, 2, 3, 4], { ...NONE, doubled: 1 }],
  [[1, 9, 3, 4], { ...NONE, wrong: 1 }],
  [[1, 2], { ...NONE, lost: 2 }],
  [[1, 2, 3, 4, 4], { ...NONE, doubled: 1 }],
  [[], { ...NONE, lost: 4 }],
])('%j is compared with 1, 2, 3, 4', (ids, found) => {
  expect(compareTokens(ids, [1, 2, 3, 4])).toEqual(found);
});

test('nothing differs exactly if the answers are the same', () => {
  const ids = fc.array(fc.nat(3), { maxLength: 8 });
  fc.assert(
    fc.property(ids, ids, (a, b) => {
      const isSame = JSON.stringify(a) === JSON.stringify(b);
      expect(JSON.stringify(compareTokens(a, b)) === JSON.stringify(NONE)).toBe(isSame);
    }),
  );
});
