/** Generators of policies and classified prompts for the property tests. */
import * as fc from 'fast-check';
import { TRACES } from '#shared/api/plimsoll-extension.ts';
import { SIGNALS } from '#shared/line/categories.ts';
import { ACTIONS, MODES, RULES } from '#shared/line/line.ts';
import type { SignalValues } from '#shared/line/rules.ts';
import { type PolicyTest, sortTests } from '../policy-test-schema.ts';
import type { PolicyRule, PolicyRules } from '../rule-schema.ts';
import type { Policy } from '../schema.ts';

// Round numbers are mixed in, so that equal floors, crossed ceilings and ramps of zero width do
// occur.
const share = fc.oneof(
  fc.constantFrom(0, 0.3, 0.5, 0.9, 1),
  fc.double({ min: 0, max: 1, noNaN: true }).map((x) => x + 0),
);
const nats = fc.oneof(
  fc.constantFrom(0, 2, 20),
  fc.double({ min: 0, max: 100, noNaN: true }).map((x) => x + 0),
);
const budget = fc.option(nats);
const limit = fc.option(fc.integer({ min: 1, max: 4096 }));
const words = fc.option(fc.constantFrom('No.', 'Ask a nurse.', 'We are a bakery.'));
const opening = fc.record({ tokens: fc.nat({ max: 32 }), floor: share });

const ramp = fc.tuple(share, share).map(([a, b]) => ({ from: Math.min(a, b), full: Math.max(a, b) }));

const rule: fc.Arbitrary<PolicyRule> = fc.record({
  floor: share,
  ceiling: fc.oneof(fc.constant(1), share),
  budget,
  action: fc.constantFrom(...ACTIONS),
  opening,
  refusal: words,
  ramp,
});
const rules: fc.Arbitrary<PolicyRules> = fc.dictionary(fc.constantFrom(...SIGNALS), rule, {
  maxKeys: 4,
  noNullPrototype: true,
});

const policyTest: fc.Arbitrary<PolicyTest> = fc.record({
  prompt: fc.constantFrom('How do I bake bread?', 'Hello'),
  expect: fc.oneof(
    fc.record({ action: fc.constantFrom(...ACTIONS) }),
    fc.record({ floor_at_least: share, budget_at_most: nats }),
    fc.record({ fires: fc.uniqueArray(fc.constantFrom(...SIGNALS), { maxLength: 2 }) }),
  ),
});

export const arbitraryPolicy: fc.Arbitrary<Policy> = fc.record({
  description: words,
  floor: share,
  ceiling: share,
  opening,
  rule: fc.constantFrom(...RULES),
  budget,
  earned: fc.option(fc.record({ start: nats, rate: nats })),
  action: fc.constantFrom(...ACTIONS),
  refusal: words,
  modes: fc.subarray(MODES.filter((mode) => mode !== 'logits')).map((more) => ['logits' as const, ...more]),
  models: fc.option(fc.subarray(['a', 'b', 'c'])),
  limits: fc.record({
    max_tokens: limit,
    requests_per_minute: limit,
    tokens_per_minute: limit,
    concurrent_streams: limit,
    tokens_per_day: limit,
    tokens_per_month: limit,
    tries_per_prompt_per_minute: limit,
  }),
  shaping: fc.record({
    n: limit,
    logprobs: fc.boolean(),
    bias: fc.boolean(),
    penalties: fc.boolean(),
    plain_prompts: fc.boolean(),
    grammar: fc.boolean(),
    tools: fc.boolean(),
  }),
  cache: fc.record({ answers: fc.boolean() }),
  trace: fc.constantFrom(...TRACES),
  retention: fc.record({
    traffic: fc.boolean(),
    share,
    responses: fc.boolean(),
    days: fc.integer({ min: 1, max: 30 }),
  }),
  categories: rules,
  shadow: rules,
  tests: fc.array(policyTest, { maxLength: 2 }).map(sortTests),
});

/** Anything a classifier may say. It may also say NaN, or leave a signal out. */
export const arbitrarySignalValues: fc.Arbitrary<SignalValues> = fc.dictionary(
  fc.constantFrom(...SIGNALS),
  fc.oneof({ weight: 9, arbitrary: share }, { weight: 1, arbitrary: fc.constant(Number.NaN) }),
  { noNullPrototype: true },
);

export const arbitraryMode = fc.constantFrom(...MODES);
