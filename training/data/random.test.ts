import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRandom, hashToUnit } from './random.ts';

test('the same seed gives the same stream, and another seed gives another stream', () => {
  const draw = (seed: string) => {
    const random = createRandom(seed);
    return Array.from({ length: 20 }, () => random.next());
  };
  expect(draw('a')).toEqual(draw('a'));
  expect(draw('a')).not.toEqual(draw('b'));
});

test('the stream is still the one that our data sets were made from', () => {
  const random = createRandom('plimsoll');
  expect([random.int(0, 999), random.int(0, 999), random.int(0, 999)]).toMatchInlineSnapshot(`
    [
      365,
      566,
      770,
    ]
  `);
});

test('draws are uniform, both within one stream and across the first draws of many streams', () => {
  const random = createRandom('uniform');
  const streams = [
    () => random.next(),
    (i: number) => createRandom(`row/${i}`).next(),
    (i: number) => hashToUnit(`w${i}`),
  ];
  for (const draw of streams) {
    const bins = new Array<number>(10).fill(0);
    for (let i = 0; i < 20_000; i++) bins[Math.floor(draw(i) * 10)]!++;
    // Each bin expects 2000 with a standard deviation of 42; 250 is six of them.
    for (const bin of bins) expect(Math.abs(bin - 2000)).toBeLessThan(250);
  }
});

test('shuffle keeps every item, sample takes distinct ones, int stays in its range', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.uniqueArray(fc.integer()),
      fc.nat(20),
      fc.integer({ min: -50, max: 50 }),
      (seed, items, size, low) => {
        const random = createRandom(seed);
        expect(random.shuffle(items).sort()).toEqual([...items].sort());
        const sampled = random.sample(items, size);
        expect(sampled).toHaveLength(Math.min(size, items.length));
        expect(new Set(sampled).size).toBe(sampled.length);
        const drawn = random.int(low, low + size);
        expect(drawn >= low && drawn <= low + size).toBe(true);
      },
    ),
  );
});

test('weighted follows the shares, and never draws a key whose share is zero', () => {
  const random = createRandom('weights');
  const counts = { a: 0, b: 0, never: 0 };
  for (let i = 0; i < 10_000; i++) counts[random.weighted({ a: 3, b: 1, never: 0 })]++;
  expect(counts.never).toBe(0);
  expect(counts.a / 10_000).toBeCloseTo(0.75, 1);
});

test('picking from nothing is an error', () => {
  expect(() => createRandom('x').pick([])).toThrow(RangeError);
});
