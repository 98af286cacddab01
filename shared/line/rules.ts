/**
 * Rules that tighten a line according to what is known about a text. A rule belongs to one signal
 * (a harm category, `any_harm`, `unread`, ...) and grows along a ramp of its probability. Two laws
 * hold and are tested: raising a probability never loosens the line, and neither does adding a
 * rule. A signal that is missing or not a number counts as 1. So if the classifier failed, every
 * rule applies in full.
 */
import * as z from 'zod';
import { SIGNALS, type Signal } from './categories.ts';
import { ACTIONS, Action, Budget, type Line, Opening, Share } from './line.ts';
import { later, lesser } from './order.ts';

/** A rule grows from nothing at probability `from` to full force at `full`. */
export const Ramp = z.strictObject({ from: Share, full: Share }).refine(({ from, full }) => from <= full, {
  path: ['full'],
  error: "must not lie below 'from'",
});
export type Ramp = z.infer<typeof Ramp>;

export const SignalRule = z.strictObject({
  floor: Share.default(0),
  budget: Budget.default(null),
  action: Action.default('mix'),
  /** Left out where they change nothing, as most rules do. */
  ceiling: Share.exactOptional(),
  opening: Opening.exactOptional(),
  ramp: Ramp,
});
export type SignalRule = z.infer<typeof SignalRule>;

/**
 * At most one rule per signal. This is an object schema, because a record schema silently drops the
 * key `__proto__`.
 */
export const SignalRules = z.strictObject(
  // The cast: the type of `fromEntries` loses the keys.
  Object.fromEntries(SIGNALS.map((signal) => [signal, SignalRule.exactOptional()])) as Record<
    Signal,
    z.ZodExactOptional<typeof SignalRule>
  >,
);
export type SignalRules = z.infer<typeof SignalRules>;

/** What is known about a text. A missing signal counts as 1. */
export type SignalValues = Readonly<Partial<Record<Signal, number>>>;

/** The part of a line that rules can change. A policy has it, too. */
export type Bounds = Pick<Line, 'floor' | 'ceiling' | 'opening' | 'budget'> & { action: Action };

/** `because`: the signal whose rule refuses, or null. */
type Tightened = Bounds & { because: Signal | null };

/**
 * Tightens the bounds by every rule that applies. Ramps rise from `base`, which is the policy's own
 * floor, even if an earlier look has already tightened `from`. The ceiling that comes out may lie
 * below the floor. Then the floor wins, which is for the caller to say.
 *
 *     tightenBy(
 *       { floor: 0.3, ceiling: 1, opening: { tokens: 0, floor: 0 }, budget: 20, action: 'mix' },
 *       { base: 0.3, rules, signals: { violence: 0.97, ... } },
 *     );
 */
export function tightenBy(
  from: Bounds,
  { base, rules, signals }: { base: number; rules: SignalRules; signals: SignalValues },
): Tightened {
  let { floor, ceiling, opening, budget, action } = from;
  let because: Signal | null = null;
  for (const signal of SIGNALS) {
    const rule = rules[signal];
    if (rule === undefined) continue;
    const force = forceOf(rule, signals[signal]);
    floor = Math.max(floor, risenFloor(base, rule.floor, force));
    ceiling = Math.min(ceiling, fallenCeiling(rule.ceiling ?? 1, force));
    opening = widerOpening(opening, rule.opening, { base, force });
    budget = lesser(budget, shrunkBudget(rule.budget, force));
    if (force === 1 && action !== 'refuse' && rule.action === 'refuse') because = signal;
    if (force === 1) action = later(ACTIONS, action, rule.action);
  }
  return { floor, ceiling, opening, budget, action, because };
}

/** How far along its ramp a rule is, 0..1. Above 0 it fires. */
export function forceOf({ ramp }: Pick<SignalRule, 'ramp'>, probability: number | undefined): number {
  if (probability === undefined || Number.isNaN(probability) || probability >= ramp.full) return 1;
  if (probability <= ramp.from) return 0;
  return (probability - ramp.from) / (ramp.full - ramp.from);
}

function risenFloor(base: number, target: number, force: number): number {
  // The ends must be exact: base + 1 * (target - base) can miss the target by a rounding step.
  if (force === 1 || target <= base) return Math.max(base, target);
  return base + force * (target - base);
}

/** The ceiling falls from 1 along the ramp. */
function fallenCeiling(target: number, force: number): number {
  // Never below the target, not even by a rounding step.
  return Math.max(target, 1 - force * (1 - target));
}

/**
 * A rule's opening has its full length as soon as the ramp begins. Its floor rises along the ramp
 * like any other.
 */
function widerOpening(
  opening: Opening,
  own: Opening | undefined,
  { base, force }: { base: number; force: number },
): Opening {
  if (own === undefined || own.tokens === 0 || force === 0) return opening;
  return {
    tokens: Math.max(opening.tokens, own.tokens),
    floor: Math.max(opening.floor, risenFloor(base, own.floor, force)),
  };
}

/**
 * The budget falls from infinity along the ramp. At half force it is twice the rule's budget. A
 * budget of 0 is 0 as soon as the ramp begins.
 */
function shrunkBudget(budget: number | null, force: number): number | null {
  if (budget === null || force === 0) return null;
  const shrunk = budget / force;
  return Number.isFinite(shrunk) ? shrunk : null;
}
