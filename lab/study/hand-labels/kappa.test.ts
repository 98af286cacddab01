import { expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { cohenKappa } from './kappa.ts';

/** By the definition: chance is how often any verdict of one equals any verdict of the other. */
function slowKappa(pairs: readonly (readonly [boolean, boolean])[]): number {
  const agreed = pairs.filter(([a, b]) => a === b).length / pairs.length;
  let same = 0;
  for (const [a] of pairs) for (const [, b] of pairs) if (a === b) same++;
  const chance = same / pairs.length ** 2;
  return (agreed - chance) / (1 - chance);
}

test('is the agreement beyond chance', () => {
  const random = createRandom('kappa');
  for (let i = 0; i < 50; i++) {
    const lean = random.next();
    const pairs = Array.from({ length: random.int(2, 60) }, (): [boolean, boolean] => {
      const first = random.chance(0.3);
      return [first, random.chance(lean) ? first : random.chance(0.6)];
    });
    if (pairs.every(([a, b]) => a === b && a === pairs[0]![0])) continue;
    const count = (a: boolean, b: boolean) => pairs.filter(([x, y]) => x === a && y === b).length;
    const table = [
      [count(false, false), count(false, true)],
      [count(true, false), count(true, true)],
    ] as const;
    expect(cohenKappa(table)).toBeCloseTo(slowKappa(pairs), 10);
  }
});

test.each([
  // 35 of 50 agree, and chance alone would give 25.
  [
    'partly',
    [
      [15, 10],
      [5, 20],
    ],
    0.4,
  ],
  [
    'fully',
    [
      [7, 0],
      [0, 3],
    ],
    1,
  ],
  [
    'never',
    [
      [0, 5],
      [5, 0],
    ],
    -1,
  ],
  [
    'as far as chance',
    [
      [25, 25],
      [25, 25],
    ],
    0,
  ],
] as const)('of two who agree %s', (_, table, kappa) => {
  expect(cohenKappa(table)).toBeCloseTo(kappa, 10);
});

test('says nothing if nobody differs or nothing was judged', () => {
  expect(
    cohenKappa([
      [12, 0],
      [0, 0],
    ]),
  ).toBeNull();
  expect(
    cohenKappa([
      [0, 0],
      [0, 0],
    ]),
  ).toBeNull();
});
