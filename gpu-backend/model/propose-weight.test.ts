import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { proposeWeight } from './propose-weight.ts';
import type { LogitsRouter } from './router.ts';

const small = fc.float({ min: -2, max: 2, noNaN: true });
const numbers = (length: number) => fc.array(small, { minLength: length, maxLength: length });
const row = (length: number) => numbers(length).map((xs) => Float32Array.from(xs));

const cases = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 })).chain(([width, d]) =>
  fc.record({
    router: fc.record({
      width: fc.constant(width),
      hiddenWeight: row(width * 2 * d),
      hiddenBias: row(width),
      outWeight: row(width),
      outBias: small,
    }),
    safety: row(d),
    helpful: row(d),
  }),
);

/** g = sigmoid(out . silu(H [h_s; h_h] + b) + c), with matrix and vectors written out. */
function naive({ width, hiddenWeight, hiddenBias, outWeight, outBias }: LogitsRouter, both: number[]): number {
  const H = Array.from({ length: width }, (_, unit) =>
    [...hiddenWeight].slice(unit * both.length, (unit + 1) * both.length),
  );
  const x = H.map((weights, unit) => weights.reduce((sum, w, i) => sum + w * both[i]!, 0) + hiddenBias[unit]!);
  const silu = x.map((value) => value / (1 + Math.exp(-value)));
  return 1 / (1 + Math.exp(-(silu.reduce((sum, s, unit) => sum + s * outWeight[unit]!, 0) + outBias)));
}

test('computes the formula', () => {
  fc.assert(
    fc.property(cases, ({ router, safety, helpful }) => {
      // Both are float64; only the order of the sums differs.
      expect(proposeWeight(router, safety, helpful)).toBeCloseTo(naive(router, [...safety, ...helpful]), 12);
    }),
  );
});

test('gives a share between 0 and 1 for numbers of any size, and NaN only if one of them is NaN', () => {
  const router: LogitsRouter = {
    width: 1,
    hiddenWeight: Float32Array.of(1, 1),
    hiddenBias: Float32Array.of(0),
    outWeight: Float32Array.of(1),
    outBias: 0,
  };
  const at = (x: number, outWeight = 1) =>
    proposeWeight({ ...router, outWeight: Float32Array.of(outWeight) }, Float32Array.of(x), Float32Array.of(x));
  expect([at(1e30), at(1e30, -1), at(-1e30), at(0)]).toEqual([1, 0, 0.5, 0.5]);
  expect(at(Number.NaN)).toBeNaN();
});
