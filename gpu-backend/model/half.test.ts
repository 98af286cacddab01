import { expect, test } from 'vitest';
import { decodeHalf, encodeHalf } from './half.ts';

test('every finite half survives a round trip bit for bit', () => {
  const halves = new Uint16Array(65_536).map((_, i) => i);
  const back = encodeHalf(decodeHalf(halves));
  const isNumber = (half: number) => ((half >> 10) & 0x1f) !== 31 || (half & 0x3ff) === 0;
  expect(back.filter((_, half) => isNumber(half))).toEqual(halves.filter(isNumber));
});

test.each([
  [0, 0x0000],
  [-0, 0x8000],
  [1, 0x3c00],
  [-2, 0xc000],
  [65504, 0x7bff],
  [65519, 0x7bff],
  [65520, 0x7c00],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [2 ** -25 * 1.5, 0x0001],
  [2 ** -14, 0x0400],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [Number.POSITIVE_INFINITY, 0x7c00],
])('rounds %d to the nearest half, ties to even', (single, half) => {
  expect(encodeHalf(Float32Array.of(single))[0]).toBe(half);
});

test('NaN stays NaN', () => {
  expect(decodeHalf(encodeHalf(Float32Array.of(Number.NaN)))[0]).toBeNaN();
});
