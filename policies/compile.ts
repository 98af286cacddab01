/**
 * Turns a policy and a classified prompt into the line of one answer. Laws that hold and are
 * tested: tightening the policy never gives a looser line, nor does raising a signal (see
 * shared/line/rules.ts for that one), and a shadow rule changes no line.
 */
import type { Signal } from '#shared/line/categories.ts';
import { type Line, type Mode, modeAlone } from '#shared/line/line.ts';
import { type SignalValues, tightenBy } from '#shared/line/rules.ts';
import type { SecondLook } from '#shared/protocol/second-look.ts';
import { appliedRules } from './rule-schema.ts';
import type { Policy } from './schema.ts';

export type Verdict =
  | { action: 'answer'; line: Line }
  /** `because` is the signal whose rule refuses, or null if the policy refuses everything. */
  | { action: 'refuse'; because: Signal | null }
  /** The request asks for a mode that the policy forbids, whatever the prompt. */
  | { action: 'forbid'; mode: Mode };

/**
 * `mode` is what the request asks for. When the safety expert answers alone, the mode makes no
 * difference and no router is needed, so the line says `logits`; or `edge`, because that mode says
 * who draws.
 *
 *     compile(policy, { violence: 0.97, ... }); // { action: 'answer', line: { floor: 0.8, ... } }
 */
export function compile(policy: Policy, signals: SignalValues, { mode = 'logits' }: { mode?: Mode } = {}): Verdict {
  if (!policy.modes.includes(mode)) return { action: 'forbid', mode };
  const tightened = tightenBy(policy, { base: policy.floor, rules: policy.categories, signals });
  const { action, opening, budget, because } = tightened;
  if (action === 'refuse') return { action, because };
  const floor = action === 'safety_only' ? 1 : tightened.floor;
  return {
    action: 'answer',
    line: {
      action,
      mode: action === 'mix' ? mode : modeAlone(mode),
      rule: policy.rule,
      floor,
      ceiling: Math.max(tightened.ceiling, floor),
      opening,
      budget,
      earned: policy.earned,
    },
  };
}

/**
 * What the directive asks of a backend's second look: the rules that apply, and the floor from
 * which they rise. null: the policy has none. Shadow rules stay at the edge. It reports them from
 * what the look has found, so they take no part in an answer, not even in the key of its draws.
 */
export function secondLookOf(policy: Policy): SecondLook | null {
  const rules = appliedRules(policy.categories);
  return Object.keys(rules).length === 0 ? null : { base: policy.floor, rules };
}

/** The policy's own words for a refusal: the rule's, else its general ones; null if it has none. */
export function refusalWords(policy: Pick<Policy, 'refusal' | 'categories'>, because: Signal | null): string | null {
  const own = because === null ? null : (policy.categories[because]?.refusal ?? null);
  return own ?? policy.refusal;
}
