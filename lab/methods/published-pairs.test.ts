import { expect, test } from 'vitest';
import type { Preference } from '#training/data/rows.ts';
import { oneSafeOneUnsafe } from './published-pairs.ts';

const pair = (name: string, safe?: Preference['safe']): Preference => ({
  prompt: [{ role: 'user', content: name }],
  responses: ['Yes.', 'No.'],
  better: 0,
  safer: 1,
  ...(safe && { safe }),
  source: 'test',
});
const names = (pairs: readonly Preference[]) => pairs.map(({ prompt }) => prompt[0]!.content);

const MIXED = [
  pair('unsafe and safe', [false, true]),
  pair('both safe', [true, true]),
  pair('both unsafe', [false, false]),
  pair('safe and unsafe', [true, false]),
  pair('one label', [false, null]),
  pair('labels unknown', [null, null]),
  pair('no labels'),
];

test('the published safety expert learns only from pairs of one safe and one unsafe answer', () => {
  const { train, heldOut } = oneSafeOneUnsafe({ train: MIXED, heldOut: MIXED.slice(0, 3) });
  expect(names(train)).toEqual(['unsafe and safe', 'safe and unsafe']);
  expect(names(heldOut)).toEqual(['unsafe and safe']);
  expect(train[0]).toBe(MIXED[0]);
});

test('a side without such a pair is an error that says what was found', () => {
  expect(() => oneSafeOneUnsafe({ train: MIXED, heldOut: MIXED.slice(1, 3) })).toThrow(
    'of 2 pairs held out none has one safe and one unsafe answer',
  );
});
