/**
 * Joins two policies into one. `tighten` is the join of a product of total orders, one per field.
 * So it is commutative, associative, idempotent and monotone: operator, tenant and request can be
 * combined in any order, and none can loosen another.
 *
 * Floors go up. Ceilings, budgets and limits go down. Floor and ceiling bound the set of weights
 * that a policy allows, and the join intersects those sets. If the intersection is empty, the floor
 * wins. `compile` decides that, because deciding it here would make the result depend on the order.
 * What needs permission is allowed only if both policies allow it. A category's ramp takes the
 * earlier start and the earlier end, each on its own.
 */
import type { Signal } from '#shared/line/categories.ts';
import { ACTIONS, RULES } from '#shared/line/line.ts';
import { later, lesser } from '#shared/line/order.ts';
import type { SignalRule } from '#shared/line/rules.ts';
import { LOOSEST, type Policy } from './schema.ts';

/**
 *     tighten({ ...LOOSEST, floor: 0.3 }, { ...LOOSEST, budget: 2 }); // floor 0.3, budget 2
 */
export function tighten(a: Policy, b: Policy): Policy {
  return {
    floor: Math.max(a.floor, b.floor),
    ceiling: Math.min(a.ceiling, b.ceiling),
    opening: {
      tokens: Math.max(a.opening.tokens, b.opening.tokens),
      floor: Math.max(a.opening.floor, b.opening.floor),
    },
    rule: later(RULES, a.rule, b.rule),
    budget: lesser(a.budget, b.budget),
    action: later(ACTIONS, a.action, b.action),
    layers_mode: a.layers_mode && b.layers_mode,
    limits: { max_tokens: lesser(a.limits.max_tokens, b.limits.max_tokens) },
    categories: tightenCategories(a.categories, b.categories),
  };
}

export function tightenAll(policies: readonly Policy[]): Policy {
  return policies.reduce(tighten, LOOSEST);
}

function tightenCategories(a: Policy['categories'], b: Policy['categories']): Policy['categories'] {
  const joined = { ...a };
  for (const [label, rule] of Object.entries(b) as [Signal, SignalRule][]) {
    const other = joined[label];
    joined[label] = other === undefined ? rule : tightenRule(other, rule);
  }
  return joined;
}

function tightenRule(a: SignalRule, b: SignalRule): SignalRule {
  return {
    floor: Math.max(a.floor, b.floor),
    budget: lesser(a.budget, b.budget),
    action: later(ACTIONS, a.action, b.action),
    ramp: { from: Math.min(a.ramp.from, b.ramp.from), full: Math.min(a.ramp.full, b.ramp.full) },
  };
}
