import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { seedKey } from './draw-key.ts';
import { philox, type Words2, type Words4 } from './philox.ts';
import { uniformAt } from './uniform-at.ts';

// The known answers for "philox4x32 10" in kat_vectors of DEShawResearch/random123.
const KNOWN_ANSWERS: [Words4, Words2, Words4][] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

test('philox gives the known answers of its reference implementation', () => {
  for (const [counter, key, answer] of KNOWN_ANSWERS) expect(philox(counter, key)).toEqual(answer);
});

test('the numbers of a seed never change between versions', () => {
  // An answer that was cut off under one version may continue under the next.
  expect([0, 1, 2 ** 40].map((position) => uniformAt(seedKey(42), position))).toMatchInlineSnapshot(`
    [
      0.6129598801477738,
      0.9877186516453577,
      0.8670647521409838,
    ]
  `);
  expect([uniformAt(seedKey(-1), 0), uniformAt(seedKey('answer'), 0)]).toMatchInlineSnapshot(`
    [
      0.447822034978262,
      0.5058548196837005,
    ]
  `);
});

test('half of the key is Philox’s key, and the other half goes into the counter next to the position', () => {
  const [high, low] = philox([7, 2, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
  const u = uniformAt([0xa4093822, 0x299f31d0, 0x13198a2e, 0x03707344], 2 * 2 ** 32 + 7);
  expect(u).toBe(((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53);
});

test('every word of a key changes the number', () => {
  const keys = [0, 1, 2, 3].map((i) => [0, 0, 0, 0].map((word, k) => (k === i ? 1 : word)));
  const numbers = [[0, 0, 0, 0], ...keys].map(([a, b, c, d]) => uniformAt([a!, b!, c!, d!], 0));
  expect(new Set(numbers).size).toBe(5);
});

test('refuses to make a key from a seed that is not a safe integer', () => {
  for (const seed of [NaN, 0.5, Infinity, 2 ** 53]) {
    expect(() => seedKey(seed)).toThrow(expect.objectContaining({ code: 'sampling_invalid' }));
  }
});

test('every number is a multiple of 2^-53 in [0, 1)', () => {
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeInteger(), fc.string()), fc.maxSafeNat(), (seed, position) => {
      const u = uniformAt(seedKey(seed), position);
      expect(u >= 0 && u < 1 && Number.isInteger(u * 2 ** 53)).toBe(true);
    }),
  );
});

test('spreads positions and seeds evenly over [0, 1)', () => {
  for (const numbers of [
    Array.from({ length: 8000 }, (_, i) => uniformAt(seedKey(7), i)),
    Array.from({ length: 8000 }, (_, i) => uniformAt(seedKey(i - 4000), 3)),
    Array.from({ length: 8000 }, (_, i) => uniformAt([1, 2, i, 4], 0)),
    Array.from({ length: 8000 }, (_, i) => uniformAt([1, 2, 3, i], 0)),
    Array.from({ length: 8000 }, (_, i) => uniformAt(seedKey(`request-${i}`), 0)),
  ]) {
    const counts = new Array<number>(16).fill(0);
    for (const u of numbers) counts[Math.floor(u * 16)]! += 1;
    // With 15 degrees of freedom, chi-squared exceeds 50 once in 90,000. The numbers are fixed, so
    // this passes always or never.
    expect(counts.reduce((sum, n) => sum + (n - 500) ** 2 / 500, 0)).toBeLessThan(50);
    expect(new Set(numbers).size).toBe(numbers.length);
  }
});

test('tells apart seeds that differ only beyond 32 bits, in sign or in type', () => {
  const seeds = [
    1,
    -1,
    1 + 2 ** 32,
    1 - 2 ** 32,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    '1',
    '',
    'a',
    'aa',
    'é',
  ];
  expect(new Set(seeds.map((seed) => uniformAt(seedKey(seed), 0))).size).toBe(seeds.length);
  expect(uniformAt(seedKey(1), 1)).not.toBe(uniformAt(seedKey(1), 1 + 2 ** 32));
});
