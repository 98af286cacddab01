import { expect, test } from 'vitest';
import { tDistribution, tQuantile } from './student-t.ts';

// Abramowitz and Stegun, table 26.10.
test.each([
  [1, 0.975, 12.706],
  [2, 0.975, 4.303],
  [3, 0.95, 2.353],
  [4, 0.995, 4.604],
  [7, 0.9, 1.415],
  [30, 0.975, 2.042],
])('with %i degrees of freedom the quantile at %f is %f, as the table says', (df, share, t) => {
  expect(tQuantile(share, df)).toBeCloseTo(t, 3);
  expect(tQuantile(1 - share, df)).toBeCloseTo(-t, 3);
});

test('agrees with the integral of the density, summed in small steps', () => {
  for (const df of [1, 2, 5, 8]) {
    // The density without its constant. Its integral over everything gives the constant.
    const density = (x: number) => (1 + (x * x) / df) ** (-(df + 1) / 2);
    const step = 1e-3;
    const upTo = (t: number) => {
      let sum = 0;
      for (let x = step / 2; x < t; x += step) sum += density(x) * step;
      return sum;
    };
    const constant = {
      1: Math.PI,
      2: 2 * Math.sqrt(2),
      5: (3 * Math.PI * Math.sqrt(5)) / 8,
      8: (64 * Math.sqrt(2)) / 35,
    }[df]!;
    for (const t of [0.4, 1.7, 3.2]) expect(tDistribution(t, df)).toBeCloseTo(0.5 + upTo(t) / constant, 5);
  }
});

test('refuses degrees of freedom and shares that there are not', () => {
  expect(() => tDistribution(1, 1.5)).toThrow('found 1.5, wanted a whole number');
  expect(() => tQuantile(1, 3)).toThrow('found 1, wanted one between 0 and 1');
});
