/** Generators of policies and classified prompts for the property tests. */
import * as fc from 'fast-check';
import { SIGNALS } from '#shared/line/categories.ts';
import { ACTIONS, MODES, RULES } from '#shared/line/line.ts';
import type { SignalRule, SignalValues } from '#shared/line/rules.ts';
import type { Policy } from '../schema.ts';

// Round numbers are mixed in, so that equal floors, crossed ceilings and ramps of zero width do
// occur.
const share = fc.oneof(
  fc.constantFrom(0, 0.3, 0.5, 0.9, 1),
  fc.double({ min: 0, max: 1, noNaN: true }).map((x) => x + 0),
);
const budget = fc.option(
  fc.oneof(
    fc.constantFrom(0, 2, 20),
    fc.double({ min: 0, max: 100, noNaN: true }).map((x) => x + 0),
  ),
);

const ramp = fc.tuple(share, share).map(([a, b]) => ({ from: Math.min(a, b), full: Math.max(a, b) }));

const rule: fc.Arbitrary<SignalRule> = fc.record({
  floor: share,
  budget,
  action: fc.constantFrom(...ACTIONS),
  ramp,
});

export const arbitraryPolicy: fc.Arbitrary<Policy> = fc.record({
  floor: share,
  ceiling: share,
  opening: fc.record({ tokens: fc.nat({ max: 32 }), floor: share }),
  rule: fc.constantFrom(...RULES),
  budget,
  action: fc.constantFrom(...ACTIONS),
  layers_mode: fc.boolean(),
  limits: fc.record({ max_tokens: fc.option(fc.integer({ min: 1, max: 4096 })) }),
  categories: fc.dictionary(fc.constantFrom(...SIGNALS), rule, { maxKeys: 4, noNullPrototype: true }),
});

/** Anything a classifier may say. It may also say NaN, or leave a signal out. */
export const arbitrarySignalValues: fc.Arbitrary<SignalValues> = fc.dictionary(
  fc.constantFrom(...SIGNALS),
  fc.oneof({ weight: 9, arbitrary: share }, { weight: 1, arbitrary: fc.constant(Number.NaN) }),
  { noNullPrototype: true },
);

export const arbitraryMode = fc.constantFrom(...MODES);
