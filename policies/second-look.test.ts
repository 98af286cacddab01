/** A backend's second look, seen from the policy whose rules it applies. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { JUDGEMENTS, SIGNALS, type Signal } from '#shared/line/categories.ts';
import { lineAfterLook, lookCategories } from '#shared/protocol/second-look.ts';
import { compile } from './compile.ts';
import { arbitraryMode, arbitraryPolicy } from './testing/arbitrary-policy.ts';
import { isAtLeastAsTight } from './testing/tighter.ts';

/** As the second look rounds them, so that both sides have the same numbers. */
const probability = fc.integer({ min: 0, max: 10_000 }).map((n) => n / 10_000);
const everySignal = fc.record(
  // The cast: the type of `fromEntries` loses the keys.
  Object.fromEntries(SIGNALS.map((signal) => [signal, probability])) as Record<Signal, typeof probability>,
);

test('after both looks, the line is that of the stricter probability of each judgement', () => {
  fc.assert(
    fc.property(arbitraryPolicy, everySignal, everySignal, arbitraryMode, (policy, first, second, mode) => {
      const before = compile(policy, first, { mode });
      if (before.action !== 'answer') return;
      const { floor: base, categories: rules } = policy;
      const found = lookCategories(JUDGEMENTS.map((judgement) => second[judgement]));
      const after = lineAfterLook(before.line, { base, rules }, found);
      const both = { ...first, ...Object.fromEntries(JUDGEMENTS.map((j) => [j, Math.max(first[j], second[j])])) };
      const wanted = compile(policy, both, { mode });
      expect(after.refused).toBe(wanted.action === 'refuse');
      if (wanted.action === 'answer') expect(after.line).toEqual(wanted.line);
      expect(isAtLeastAsTight({ action: 'answer', line: after.line }, before)).toBe(true);
      const hasChanged = JSON.stringify(after.line) !== JSON.stringify(before.line);
      expect(after.tightened).toBe(after.refused || hasChanged);
      expect(after.because !== null).toBe(after.tightened);
    }),
    { numRuns: 2000 },
  );
});

test('a probability that is missing or not a number counts as 1', () => {
  const some = lookCategories([0.12346, Number.NaN]);
  expect(some.map(({ name }) => name)).toEqual([...JUDGEMENTS]);
  expect(some.map((one) => one.probability)).toEqual([0.1235, ...JUDGEMENTS.slice(1).map(() => 1)]);
});
