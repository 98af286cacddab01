/**
 * Turns a policy and a classified prompt into the line of one answer. Two laws hold and are tested:
 * tightening the policy never gives a looser line, and neither does raising a signal (see
 * shared/line/rules.ts for the second law).
 */
import type { Signal } from '#shared/line/categories.ts';
import type { Line, Mode } from '#shared/line/line.ts';
import { type SignalValues, tightenBy } from '#shared/line/rules.ts';
import type { Policy } from './schema.ts';

export type Verdict =
  | { action: 'answer'; line: Line }
  /** `because` is the signal whose rule refuses, or null if the policy refuses everything. */
  | { action: 'refuse'; because: Signal | null }
  /** The request asks for a mode that the policy forbids, whatever the prompt. */
  | { action: 'forbid'; mode: Mode };

/**
 * `mode` is what the request asks for. When the safety expert answers alone, the mode makes no
 * difference and no router is needed, so the line says `logits`.
 *
 *     compile(policy, { violence: 0.97, ... }); // { action: 'answer', line: { floor: 0.8, ... } }
 */
export function compile(policy: Policy, signals: SignalValues, { mode = 'logits' }: { mode?: Mode } = {}): Verdict {
  if (mode === 'layers' && !policy.layers_mode) return { action: 'forbid', mode };
  const tightened = tightenBy(policy, { base: policy.floor, rules: policy.categories, signals });
  const { action, budget, because } = tightened;
  if (action === 'refuse') return { action, because };
  const floor = action === 'safety_only' ? 1 : tightened.floor;
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
      // No policy can ask for an earned budget yet.
      earned: null,
    },
  };
}
