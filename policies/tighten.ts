/**
 * Joins two policies into one. `tighten` is the join of a product of orders, one per field. So it
 * is commutative, associative, idempotent and monotone: operator, plan, tenant, key and request can
 * be combined in any order, and none can loosen another.
 *
 * Floors go up. Ceilings, budgets and limits go down. Floor and ceiling bound the set of weights
 * that a policy allows, and the join intersects those sets. If the intersection is empty, the floor
 * wins. `compile` decides that, because deciding it here would make the result depend on the order.
 * What needs permission is allowed only if both policies allow it. A rule's ramp takes the earlier
 * start and the earlier end, each on its own. Shadow rules join each other, never a rule that
 * applies. Texts bound nothing: see `laterText`.
 */
import { TRACES } from '#shared/api/plimsoll-extension.ts';
import { SIGNALS } from '#shared/line/categories.ts';
import { ACTIONS, type Opening, RULES } from '#shared/line/line.ts';
import { later, lesser } from '#shared/line/order.ts';
import { sortTests } from './policy-test-schema.ts';
import type { PolicyRule, PolicyRules } from './rule-schema.ts';
import { LOOSEST, type Policy } from './schema.ts';
import { laterText } from './words.ts';

/** For each field, how two of its values combine. A new field does not compile without one. */
type Joins<Whole> = { [Field in keyof Whole]-?: (a: Whole[Field], b: Whole[Field]) => Whole[Field] };

const and = (a: boolean, b: boolean) => a && b;
/** From all that can be told to nothing. */
const QUIETER = TRACES.toReversed();

const OPENING: Joins<Opening> = { tokens: Math.max, floor: Math.max };
const EARNED: Joins<NonNullable<Policy['earned']>> = { start: Math.min, rate: Math.min };
const LIMITS: Joins<Policy['limits']> = {
  max_tokens: lesser,
  requests_per_minute: lesser,
  tokens_per_minute: lesser,
  concurrent_streams: lesser,
  tokens_per_day: lesser,
  tokens_per_month: lesser,
  tries_per_prompt_per_minute: lesser,
};
const SHAPING: Joins<Policy['shaping']> = {
  n: lesser,
  logprobs: and,
  bias: and,
  penalties: and,
  plain_prompts: and,
  grammar: and,
  tools: and,
};
const RETENTION: Joins<Policy['retention']> = { traffic: and, share: Math.min, responses: and, days: Math.min };
const RAMP: Joins<PolicyRule['ramp']> = { from: Math.min, full: Math.min };
const RULE: Joins<PolicyRule> = {
  floor: Math.max,
  ceiling: Math.min,
  budget: lesser,
  action: (a, b) => later(ACTIONS, a, b),
  opening: (a, b) => join(OPENING, a, b),
  refusal: laterText,
  ramp: (a, b) => join(RAMP, a, b),
};

const POLICY: Joins<Policy> = {
  description: laterText,
  floor: Math.max,
  ceiling: Math.min,
  opening: (a, b) => join(OPENING, a, b),
  rule: (a, b) => later(RULES, a, b),
  budget: lesser,
  earned: (a, b) => both(a, b, (x, y) => join(EARNED, x, y)),
  action: (a, b) => later(ACTIONS, a, b),
  refusal: laterText,
  modes: (a, b) => a.filter((mode) => b.includes(mode)),
  models: (a, b) => both(a, b, (x, y) => x.filter((model) => y.includes(model))),
  limits: (a, b) => join(LIMITS, a, b),
  shaping: (a, b) => join(SHAPING, a, b),
  cache: (a, b) => ({ answers: a.answers && b.answers }),
  trace: (a, b) => later(QUIETER, a, b),
  retention: joinRetention,
  categories: joinRules,
  shadow: joinRules,
  tests: (a, b) => sortTests([...a, ...b]),
};

/**
 *     tighten({ ...LOOSEST, floor: 0.3 }, { ...LOOSEST, budget: 2 }); // floor 0.3, budget 2
 */
export function tighten(a: Policy, b: Policy): Policy {
  return join(POLICY, a, b);
}

/** What both allow to be kept. */
export function joinRetention(a: Policy['retention'], b: Policy['retention']): Policy['retention'] {
  return join(RETENTION, a, b);
}

export function tightenAll(policies: readonly Policy[]): Policy {
  return policies.reduce(tighten, LOOSEST);
}

function join<Whole extends object>(joins: Joins<Whole>, a: Whole, b: Whole): Whole {
  const joined = (field: keyof Whole) => [field, joins[field](a[field], b[field])];
  // The cast: `joins` has every field of the whole once, and each gives that field's type.
  return Object.fromEntries((Object.keys(joins) as (keyof Whole)[]).map(joined)) as Whole;
}

/** null restricts nothing. */
function both<T>(a: T | null, b: T | null, joined: (a: T, b: T) => T): T | null {
  if (a === null || b === null) return a ?? b;
  return joined(a, b);
}

function joinRules(a: PolicyRules, b: PolicyRules): PolicyRules {
  const joined: PolicyRules = {};
  for (const signal of SIGNALS) {
    const rule = both(a[signal] ?? null, b[signal] ?? null, (x, y) => join(RULE, x, y));
    if (rule !== null) joined[signal] = rule;
  }
  return joined;
}
