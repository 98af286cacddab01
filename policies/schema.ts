/**
 * The policy language. A policy is JSON, and unknown fields are refused. `floor` and `budget`
 * decide most of the line, so they have no default: an empty document is a mistake, not an open
 * door.
 */
import * as z from 'zod';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { Action, Budget, Opening, Rule, Share } from '#shared/line/line.ts';
import { lesser } from '#shared/line/order.ts';
import { type Ramp, SignalRules } from '#shared/line/rules.ts';

const Fields = z.strictObject({
  /** The least and the most weight of the safety expert. If they cross, the floor wins. */
  floor: Share,
  ceiling: Share.default(1),
  opening: Opening.default({ tokens: 0, floor: 0 }),
  rule: Rule.default('geometric'),
  budget: Budget,
  action: Action.default('mix'),
  /**
   * Whether a request may ask for the mode `layers`, which mixes the experts inside the model.
   * There a floor bounds the mixing but not the output, and the rule does not apply: only
   * the budget bounds the answer. That is why a policy has to allow it.
   */
  layers_mode: z.boolean().default(false),
  /** null: no limit. */
  limits: z.strictObject({ max_tokens: z.int().min(1).nullable().default(null) }).default({ max_tokens: null }),
  /**
   * At most one rule per signal. The signals are the harm categories, `jailbreak`, `any_harm`, and
   * two for text that was not understood: `unread` and `uncertain`.
   */
  categories: SignalRules.default({}),
});

/**
 * Text that the classifier did not understand may contain anything that the policy is strict about.
 * So a policy that has rules, but none for such text, gets two more. The rule for `unread` has the
 * strictest floor and budget among the categories. The rule for `uncertain` (a language the
 * classifier does not know) goes halfway there. We add them here rather than where they are used,
 * so that joining policies cannot lose them.
 */
export const Policy = Fields.transform((policy) => {
  const { floor, categories } = policy;
  const rules = JUDGEMENTS.map((judgement) => categories[judgement]).filter((rule) => rule !== undefined);
  const strictest = Math.max(floor, ...rules.map((rule) => (rule.action === 'mix' ? rule.floor : 1)));
  const budgets = rules.map((rule) => rule.budget);
  const least = budgets.reduce(lesser, null);
  if (strictest === floor && least === null) return policy;
  // Budgets of 0 do not count here. Twice 0 is still 0, so any text in another language would have
  // nothing to spend. Floors do not have this problem.
  const halved = budgets.filter((budget) => budget !== 0).reduce(lesser, null);
  const filledIn: Required<Pick<SignalRules, 'unread' | 'uncertain'>> = {
    unread: { floor: strictest, budget: least, action: 'mix', ramp: WHOLE },
    uncertain: {
      floor: floor + (strictest - floor) / 2,
      budget: halved === null ? null : 2 * halved,
      action: 'mix',
      ramp: RISING,
    },
  };
  return { ...policy, categories: { ...filledIn, ...categories } };
});
export type Policy = z.infer<typeof Policy>;

/** The ramp of `unread`, which is 0 or 1. */
const WHOLE: Ramp = { from: 0, full: 1 };
/** The ramp of `uncertain`. Even for plain English, `uncertain` is about a hundredth. */
const RISING: Ramp = { from: 0.25, full: 0.9 };

/** The neutral element of `tighten`: it restricts nothing. */
export const LOOSEST: Policy = {
  floor: 0,
  ceiling: 1,
  opening: { tokens: 0, floor: 0 },
  rule: 'arithmetic',
  budget: null,
  action: 'mix',
  layers_mode: true,
  limits: { max_tokens: null },
  categories: {},
};

/** Stands in for a policy that is missing or broken: the safety expert alone. */
export const STRICTEST: Policy = {
  floor: 1,
  ceiling: 1,
  opening: { tokens: 0, floor: 1 },
  rule: 'geometric',
  budget: 0,
  action: 'safety_only',
  layers_mode: false,
  limits: { max_tokens: null },
  categories: {},
};
