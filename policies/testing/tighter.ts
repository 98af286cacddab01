/**
 * What it means for a policy or a line to be at least as tight as another, field by field. The
 * orders are written down here a second time, apart from `tighten` and `compile`, so that their
 * tests do not rely on the code under test. A new field does not compile until it has an order.
 */
import { effectiveFloor } from '#shared/gate/index.ts';
import { ACTIONS, type Line, RULES } from '#shared/line/line.ts';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import type { Verdict } from '../compile.ts';
import type { PolicyRule, PolicyRules } from '../rule-schema.ts';
import type { Policy } from '../schema.ts';

/**
 * For each field: whether `a` is at least as tight as `b`. `of` has the two wholes that the fields
 * belong to.
 */
type Orders<Whole> = {
  [Field in keyof Whole]-?: (a: Whole[Field], b: Whole[Field], of: { a: Whole; b: Whole }) => boolean;
};

/**
 * Allows for the rounding of a floor on its ramp. A line that is looser by less than this counts as
 * equally tight.
 */
const ROUNDING = 1e-12;

const atLeast = (a: number, b: number) => a >= b;
const atMost = (a: number, b: number) => a <= b;
/** null is infinite. */
const limitAtMost = (a: number | null, b: number | null) => b === null || (a !== null && a <= b);
const laterOf =
  <Name>(names: readonly Name[]) =>
  (a: Name, b: Name) =>
    names.indexOf(a) >= names.indexOf(b);

const OPENING: Orders<Policy['opening']> = { tokens: atLeast, floor: atLeast };
/** A permission: `a` may have it only if `b` has it. */
const onlyIf = (a: boolean, b: boolean) => !a || b;
/** What is allowed by name; null is everything. */
const within = (a: readonly string[] | null, b: readonly string[] | null) =>
  b === null || a?.every((name) => b.includes(name)) === true;
/** Words bound nothing. */
const textAfter = (a: string | null, b: string | null) => b === null || (a !== null && a >= b);

const LIMITS: Orders<Policy['limits']> = {
  max_tokens: limitAtMost,
  requests_per_minute: limitAtMost,
  tokens_per_minute: limitAtMost,
  concurrent_streams: limitAtMost,
  tokens_per_day: limitAtMost,
  tokens_per_month: limitAtMost,
  tries_per_prompt_per_minute: limitAtMost,
};
const SHAPING: Orders<Policy['shaping']> = {
  n: limitAtMost,
  logprobs: onlyIf,
  bias: onlyIf,
  penalties: onlyIf,
  plain_prompts: onlyIf,
  grammar: onlyIf,
  tools: onlyIf,
};
const RETENTION: Orders<Policy['retention']> = { traffic: onlyIf, share: atMost, responses: onlyIf, days: atMost };
const RAMP: Orders<PolicyRule['ramp']> = { from: atMost, full: atMost };
const RULE: Orders<PolicyRule> = {
  floor: atLeast,
  ceiling: atMost,
  budget: limitAtMost,
  action: laterOf(ACTIONS),
  opening: (a, b) => holds(OPENING, a, b),
  refusal: textAfter,
  ramp: (a, b) => holds(RAMP, a, b),
};
const rulesHold = (a: PolicyRules, b: PolicyRules) =>
  Object.entries(b).every(([signal, rule]) => {
    const own = a[signal as keyof typeof a];
    return own !== undefined && holds(RULE, own, rule);
  });

const POLICY: Orders<Policy> = {
  description: textAfter,
  floor: atLeast,
  ceiling: atMost,
  opening: (a, b) => holds(OPENING, a, b),
  rule: laterOf(RULES),
  budget: limitAtMost,
  earned: earnsAtMost,
  action: laterOf(ACTIONS),
  refusal: textAfter,
  modes: within,
  models: within,
  limits: (a, b) => holds(LIMITS, a, b),
  shaping: (a, b) => holds(SHAPING, a, b),
  cache: (a, b) => onlyIf(a.answers, b.answers),
  trace: laterOf(['tokens', 'summary', 'none']),
  retention: (a, b) => holds(RETENTION, a, b),
  categories: rulesHold,
  shadow: rulesHold,
  tests: (a, b) => b.every((test) => a.map((own) => canonicalJson(own)).includes(canonicalJson(test))),
};

const LINE: Orders<Line> = {
  action: laterOf(ACTIONS),
  // The request chooses the mode among those that the policy allows. Neither is tighter.
  mode: () => true,
  rule: laterOf(RULES),
  floor: (_a, _b, of) => floorsHold(of.a, of.b),
  // A floor above the ceiling wins.
  ceiling: (a, b, of) => a <= Math.max(b, of.a.floor),
  opening: (_a, _b, of) => floorsHold(of.a, of.b),
  budget: (a, b) => b === null || (a !== null && a <= b * (1 + ROUNDING)),
  earned: earnsAtMost,
};

function earnsAtMost(a: Line['earned'], b: Line['earned']): boolean {
  return b === null || (a !== null && a.start <= b.start && a.rate <= b.rate);
}

/**
 * Whether the floor of `a` is at least that of `b`, wherever one of the two openings begins or
 * ends.
 */
function floorsHold(a: Line, b: Line): boolean {
  const positions = [0, ...[a.opening.tokens, b.opening.tokens].flatMap((tokens) => [tokens - 1, tokens, tokens + 1])];
  return positions.every((position) => effectiveFloor(a, { position }) >= effectiveFloor(b, { position }) - ROUNDING);
}

function holds<Whole extends object>(orders: Orders<Whole>, a: Whole, b: Whole): boolean {
  const fields = Object.keys(orders) as (keyof Whole)[];
  return fields.every((field) => orders[field](a[field], b[field], { a, b }));
}

export const isPolicyAtLeastAsTight = (a: Policy, b: Policy) => holds(POLICY, a, b);

/** A refusal or a forbidden mode is at least as tight as any answer. */
export function isAtLeastAsTight(a: Verdict, b: Verdict): boolean {
  if (a.action !== 'answer') return true;
  return b.action === 'answer' && holds(LINE, a.line, b.line);
}
