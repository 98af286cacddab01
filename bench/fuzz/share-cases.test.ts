import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shareCases } from './share-cases.ts';

test('shares out exactly as many cases as there are, the fewer the more each takes', () => {
  fc.assert(
    fc.property(
      fc.nat(1_000_000),
      fc.array(fc.double({ min: 0.1, max: 500, noNaN: true }), { minLength: 1, maxLength: 13 }),
      (cases, costs) => {
        const shares = shareCases(cases, Object.fromEntries(costs.map((caseMs, i) => [`kind ${i}`, { caseMs }])));
        const counts = Object.values(shares);
        expect(counts.reduce((a, b) => a + b, 0)).toBe(cases);
        for (const [i, a] of costs.entries()) {
          for (const [j, b] of costs.entries()) if (a < b) expect(counts[i]! - counts[j]!).toBeGreaterThanOrEqual(-1);
        }
      },
    ),
  );
  expect(shareCases(110, { quick: { caseMs: 1 }, slow: { caseMs: 100 } })).toEqual({ quick: 100, slow: 10 });
});
