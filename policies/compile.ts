/**
 * A policy and a classified prompt become the line of one answer. Two laws hold and are tested: tightening the policy
 * never gives a looser line, and raising a probability never does. A probability that is missing or not a number counts
 * as 1, so a classifier that failed (no probabilities at all) puts every one of the tenant's rules in full force.
 */
import { LABELS, type Label, type Signal } from '#shared/api/categories.ts';
import type { Line, Mode } from '#shared/protocol/directive.ts';
import { ACTIONS, type CategoryRule, type Policy } from './schema.ts';
import { later, lesser } from './tighten.ts';

/** What is known of a prompt; a signal that is missing counts as 1. */
export type SignalValues = Readonly<Partial<Record<Signal, number>>>;

export type Verdict =
  | { action: 'answer'; line: Line }
  /** `because`: the category that refuses, or null where the policy refuses everything. */
  | { action: 'refuse'; because: Label | null }
  /** The request asks for a mode that the policy does not allow, whatever the prompt. */
  | { action: 'forbid'; mode: Mode };

/**
 * `mode` is what the request asks for. The safety expert alone is the same in any, and needs no router: its line says `logits`.
 *
 *     compile(policy, { violence: 0.97, ... }); // { action: 'answer', line: { floor: 0.8, ... } }
 */
export function compile(policy: Policy, signals: SignalValues, { mode = 'logits' }: { mode?: Mode } = {}): Verdict {
  if (mode === 'layers' && !policy.layers_mode) return { action: 'forbid', mode };
  let { floor, budget, action } = policy;
  let because: Label | null = null;
  for (const label of LABELS) {
    const rule = policy.categories[label];
    if (rule === undefined) continue;
    const force = forceOf(rule, signals[label]);
    floor = Math.max(floor, risenFloor(policy.floor, rule.floor, force));
    budget = lesser(budget, shrunkBudget(rule.budget, force));
    if (force === 1 && action !== 'refuse' && rule.action === 'refuse') because = label;
    if (force === 1) action = later(ACTIONS, action, rule.action);
  }
  if (action === 'refuse') return { action, because };
  if (action === 'safety_only') floor = 1;
  return {
    action: 'answer',
    line: {
      action,
      mode: action === 'mix' ? mode : 'logits',
      rule: policy.rule,
      floor,
      ceiling: Math.max(policy.ceiling, floor),
      opening: policy.opening,
      budget,
    },
  };
}

/** How far along its ramp a rule stands, 0..1. */
function forceOf({ ramp }: CategoryRule, probability: number | undefined): number {
  if (probability === undefined || Number.isNaN(probability) || probability >= ramp.full) return 1;
  if (probability <= ramp.from) return 0;
  return (probability - ramp.from) / (ramp.full - ramp.from);
}

function risenFloor(base: number, target: number, force: number): number {
  // The ends are exact: base + 1 * (target - base) can miss the target by a rounding step.
  if (force === 1 || target <= base) return Math.max(base, target);
  return base + force * (target - base);
}

/** A budget comes down from infinity along the ramp: at half force it is twice the rule's (and 0 is 0 throughout). */
function shrunkBudget(budget: number | null, force: number): number | null {
  if (budget === null || force === 0) return null;
  const shrunk = budget / force;
  return Number.isFinite(shrunk) ? shrunk : null;
}
