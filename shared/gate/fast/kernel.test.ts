import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seedKey } from '../draw-key.ts';
import { uniformAt } from '../uniform-at.ts';
import { BLOCK, type Kernel, loadKernel } from './kernel.ts';

// null would be a machine without WebAssembly, which no test runs on.
const kernel = loadKernel() as Kernel;
const { run } = kernel;

const sum = (xs: ArrayLike<number>) => Array.from(xs).reduce((a, b) => a + b, 0);
const numbers = (size: number, of: (u: number) => number) =>
  Array.from({ length: size }, (_, i) => of(uniformAt(seedKey(size), i)));

function place(logits: readonly number[]) {
  const blocks = Math.ceil(logits.length / BLOCK);
  const arrays = kernel.arraysFor(logits.length);
  arrays.safety.array.set(logits);
  arrays.safety.array.fill(-Infinity, logits.length, blocks * BLOCK);
  return { ...arrays, blocks };
}

function masses(logits: readonly number[], { most, scale }: { most: number; scale: number }): Float64Array {
  const { safety, mixture, blocks } = place(logits);
  const { sums, tops } = mixture;
  run.masses(safety.at, mixture.masses.at, sums.at, tops.at, blocks, most, scale);
  return mixture.masses.array.slice(0, logits.length);
}

test('exponentials are within 2 units in the last place, beyond the rounding of what is raised', () => {
  let worst = 0;
  for (const scale of [1, 1 / 0.7, 1 / 3, 50]) {
    const logits = numbers(20_000, (u) => Math.fround(-(u ** 3) * (700 / scale)));
    const found = masses(logits, { most: 0, scale });
    for (const [i, x] of logits.entries()) {
      const exact = Math.exp(x * scale);
      // x * scale has an error of half a unit, and so has scale * 256 / ln 2.
      const allowed = (2 + 2 * Math.abs(x * scale)) * 2 ** -53 * exact;
      worst = Math.max(worst, Math.abs(found[i]! - exact) / allowed);
    }
  }
  expect(worst).toBeLessThanOrEqual(1);
});

test('exp(0) is 1, and what is no normal number is 0', () => {
  expect([...masses([0, -708, -709, -1e30, -Infinity], { most: 0, scale: 1 })]).toEqual([
    1,
    expect.closeTo(Math.exp(-708), 320),
    0,
    0,
    0,
  ]);
});

test('each block has its sum and its largest mass', () => {
  const logits = numbers(3 * BLOCK + 5, (u) => -9 * u);
  const found = masses(logits, { most: 0, scale: 1 });
  const { sums, tops } = kernel.arraysFor(0).mixture;
  for (let block = 0; block < 4; block++) {
    const part = found.slice(block * BLOCK, (block + 1) * BLOCK);
    expect(sums.array[block]).toBeCloseTo(sum(part), 13);
    expect(tops.array[block]).toBe(Math.max(...part));
  }
});

test('powers of masses are those of Math.pow', () => {
  const logits = numbers(2000, (u) => -40 * u);
  const { mixture, blocks } = place(logits);
  for (const scale of [1 / 0.7, 0.5, 3]) {
    const before = masses(logits, { most: 0, scale: 1 });
    run.heat(mixture.masses.at, blocks, 0.5, scale);
    for (const [i, x] of before.entries()) {
      const exact = (x / 0.5) ** scale;
      // The exponent, log x * scale, has an error of two units in its own last place.
      const allowed = (4 + 4 * Math.abs(Math.log(exact))) * 2 ** -53;
      expect(Math.abs(mixture.masses.array[i]! / exact - 1)).toBeLessThan(allowed);
    }
  }
});

describe('the largest logit', () => {
  const row = numbers(BLOCK + 9, (u) => Math.fround(u - 4));
  const largest = (logits: readonly number[]) => {
    const { safety, blocks } = place(logits);
    return run.largest(safety.at, blocks);
  };

  test('is found wherever it is', () => {
    for (let i = 0; i < row.length; i++) expect(largest(row.with(i, 3))).toBe(3);
  });

  test('is NaN if there is a NaN anywhere, whatever its sign and its other bits', () => {
    const bits = new DataView(new ArrayBuffer(4));
    for (const pattern of [0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff]) {
      for (let i = 0; i < row.length; i++) {
        const { safety, blocks } = place(row);
        bits.setUint32(0, pattern);
        new Uint8Array(safety.array.buffer, safety.at + 4 * i, 4).set(new Uint8Array(bits.buffer).toReversed());
        expect(run.largest(safety.at, blocks)).toBeNaN();
      }
    }
  });

  test('is an infinity if that is the largest', () => {
    expect(largest(row.with(70, Infinity))).toBe(Infinity);
    expect(largest(row.map(() => -Infinity))).toBe(-Infinity);
  });
});

test('the rough sum has seven digits', () => {
  fc.assert(
    fc.property(fc.array(fc.float({ min: -60, max: 0, noNaN: true }), { minLength: 1, maxLength: 300 }), (logits) => {
      const most = Math.max(...logits);
      const { safety, blocks } = place(logits);
      const exact = sum(logits.map((x) => Math.exp(x - most)));
      expect(Math.abs(run.roughSum(safety.at, blocks, most) / exact - 1)).toBeLessThan(3e-7);
    }),
  );
});

test('splitting only the blocks that change is splitting all of them', () => {
  const logits = numbers(40 * BLOCK, (u) => -5 * u);
  const m = masses(logits, { most: 0, scale: 1 });
  const { mixture, reference, free, capped, over, moving, blocks } = place(logits);
  // Every token meets its cap at an `a` of its own, from 1 to 2.
  reference.masses.array.set(m.map((x, i) => x * (1 + uniformAt(seedKey('caps'), i))));
  const places = [mixture.masses.at, reference.masses.at, free.at, capped.at, over.at] as const;
  const sums = (count: number) => ({
    count,
    of: [free, capped, over].map(({ array }) => [...array.subarray(0, blocks)]),
  });
  const again = (a: number, all: boolean) => sums(run.splitAgain(...places, moving.at, blocks, a, 1, 1.202, all));
  again(1.2, true);
  const changing = moving.array.subarray(0, blocks).filter((x) => x === 1).length;
  expect(changing).toBeGreaterThan(0);
  expect(changing).toBeLessThan(20);
  const rising = [1.2005, 1.2008, 1.2008, 1.202];
  const steps = rising.map((a) => again(a, false));
  expect(steps).toEqual(rising.map((a) => sums(run.split(...places, blocks, a, 1))));
  expect(new Set(steps.map(({ count }) => count)).size).toBe(3);
});

test('splits tokens by their caps, and lists those above a bound', () => {
  const logits = numbers(300, (u) => -5 * u);
  const m = masses(logits, { most: 0, scale: 1 });
  const { mixture, reference, free, capped, over, mixtureList, blocks } = place(logits);
  reference.masses.array.fill(0, 0, blocks * BLOCK).set(m.toReversed());
  const r = reference.masses.array.slice(0, 300);
  const places = [mixture.masses.at, reference.masses.at, free.at, capped.at, over.at] as const;
  const count = run.split(...places, blocks, 1, 1.5);
  const exceeding = [...m.keys()].filter((i) => m[i]! > 1.5 * r[i]!);
  expect(count).toBe(exceeding.length);
  expect(sum(capped.array.subarray(0, blocks))).toBeCloseTo(sum(exceeding.map((i) => r[i]!)), 12);
  expect(sum(free.array.subarray(0, blocks))).toBeCloseTo(sum(m) - sum(exceeding.map((i) => m[i]!)), 12);

  const { ids, kept } = mixtureList;
  const found = run.collect(mixture.masses.at, mixture.tops.at, blocks, 0.3, ids.at, kept.at);
  const expected = [...m.keys()].filter((i) => m[i]! >= 0.3);
  expect([...ids.array.subarray(0, found)]).toEqual(expected);
  expect([...kept.array.subarray(0, found)]).toEqual(expected.map((i) => m[i]));
});
