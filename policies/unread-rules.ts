/**
 * Text that the classifier did not understand may contain anything that the policy is strict about.
 * So a policy that has rules, but none for such text, gets two more. The rule for `unread` has the
 * strictest floor and budget among the categories. The rule for `uncertain` (a language the
 * classifier does not know) goes halfway there. We add them when a document is read, rather than
 * where they are used, so that joining policies cannot lose them.
 */
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { lesser } from '#shared/line/order.ts';
import type { Ramp } from '#shared/line/rules.ts';
import type { PolicyRule, PolicyRules } from './rule-schema.ts';

/** The ramp of `unread`, which is 0 or 1. */
const WHOLE: Ramp = { from: 0, full: 1 };
/** The ramp of `uncertain`. Even for plain English, `uncertain` is about a hundredth. */
const RISING: Ramp = { from: 0.25, full: 0.9 };

export function withDefaultRules<Whole extends { floor: number; categories: PolicyRules }>(policy: Whole): Whole {
  const { floor, categories } = policy;
  const rules = JUDGEMENTS.map((judgement) => categories[judgement]).filter((rule) => rule !== undefined);
  const strictest = Math.max(floor, ...rules.map((rule) => (rule.action === 'mix' ? rule.floor : 1)));
  const budgets = rules.map((rule) => rule.budget);
  const least = budgets.reduce(lesser, null);
  if (strictest === floor && least === null) return policy;
  // Budgets of 0 do not count here. Twice 0 is still 0, so any text in another language would have
  // nothing to spend. Floors do not have this problem.
  const halved = budgets.filter((budget) => budget !== 0).reduce(lesser, null);
  const filledIn: Required<Pick<PolicyRules, 'unread' | 'uncertain'>> = {
    unread: ruleFor({ floor: strictest, budget: least, ramp: WHOLE }),
    uncertain: ruleFor({
      floor: floor + (strictest - floor) / 2,
      budget: halved === null ? null : 2 * halved,
      ramp: RISING,
    }),
  };
  return { ...policy, categories: { ...filledIn, ...categories } };
}

function ruleFor(set: Pick<PolicyRule, 'floor' | 'budget' | 'ramp'>): PolicyRule {
  return { ...set, ceiling: 1, action: 'mix', opening: { tokens: 0, floor: 0 }, refusal: null };
}
