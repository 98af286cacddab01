import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { logSoftmax } from './log-softmax.ts';
import * as arbitrary from './testing/arbitraries.ts';
import * as oracle from './testing/oracle.ts';

test('its exponentials are the softmax', () => {
  fc.assert(
    fc.property(arbitrary.logitsOf(9), (logits) => {
      const expected = oracle.softmax(logits);
      logSoftmax(logits)?.forEach((lp, i) => {
        expect(Math.exp(lp)).toBeCloseTo(expected[i]!, 12);
      });
    }),
  );
});

test('logits at the ends of Float32 neither overflow nor lose the digits between them', () => {
  expect(logSoftmax(Float32Array.of(2 ** 127, 2 ** 127, -(2 ** 127)))).toEqual(
    Float64Array.of(-Math.LN2, -Math.LN2, -(2 ** 128)),
  );
  const [a, b] = logSoftmax(Float32Array.of(2 ** 24, 2 ** 24 - 1)) ?? [];
  expect(a! - b!).toBeCloseTo(1, 14);
  expect(Math.exp(a!) + Math.exp(b!)).toBeCloseTo(1, 14);
});

test('a masked token has probability 0 and affects no other', () => {
  expect(logSoftmax(Float32Array.of(1, -Infinity, 1))).toEqual(Float64Array.of(-Math.LN2, -Infinity, -Math.LN2));
});

test.each([
  ['empty', []],
  ['NaN', [NaN]],
  ['a NaN among numbers', [1, NaN, 2]],
  ['a NaN before +Infinity', [NaN, Infinity]],
  ['+Infinity', [Infinity, 0]],
  ['all masked', [-Infinity, -Infinity]],
  ['both infinities', [Infinity, -Infinity]],
])('finds no distribution in an unusable row: %s', (_, row) => {
  expect(logSoftmax(Float32Array.from(row))).toBeNull();
});
