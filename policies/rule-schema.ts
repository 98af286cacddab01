/**
 * A policy's rules, one for each signal. A rule is what `shared/line/rules.ts` applies, and the
 * text of its refusal.
 */
import * as z from 'zod';
import { SIGNALS, type Signal } from '#shared/line/categories.ts';
import { Action, Budget, Opening, Share } from '#shared/line/line.ts';
import { Ramp, type SignalRules } from '#shared/line/rules.ts';
import { Words } from './words.ts';

/** What a rule sets. Leaving everything but the ramp out makes a rule that does nothing. */
const RuleFields = z.strictObject({
  floor: Share.default(0).describe('least weight of the safety expert while the rule is in full force'),
  ceiling: Share.default(1).describe('most weight of the safety expert; it falls from 1 along the ramp'),
  budget: Budget.default(null).describe('nats for the whole answer; at half force twice as many; null: no budget'),
  action: Action.default('mix').describe('what is done from the end of the ramp on'),
  opening: Opening.default({ tokens: 0, floor: 0 }).describe(
    'a higher floor for the first tokens, from the start of the ramp on',
  ),
  refusal: Words.nullable().default(null).describe('what a client reads where this rule refuses, in your words'),
  ramp: Ramp.describe('the rule does nothing up to probability `from`, and applies in full from `full` on'),
});
// A schema with an id stands in the JSON Schema once, however many fields refer to it.
const PolicyRule = RuleFields.meta({ id: 'shadow_rule', description: 'a rule that is only looked at' });
export type PolicyRule = z.infer<typeof PolicyRule>;

const FlaggedRule = RuleFields.extend({
  shadow: z.boolean().exactOptional().describe('true: the rule is counted and reported, and not applied'),
}).meta({ id: 'rule', description: 'what tightens the line while the signal is high' });

/**
 * At most one rule per signal. These are object schemas, because a record schema silently drops the
 * key `__proto__`.
 */
const oneEach = <Rule extends z.ZodType>(rule: Rule) =>
  z.strictObject(
    // The cast: the type of `fromEntries` loses the keys.
    Object.fromEntries(SIGNALS.map((signal) => [signal, rule.exactOptional()])) as Record<
      Signal,
      z.ZodExactOptional<Rule>
    >,
  );

export const PolicyRules = oneEach(PolicyRule);
export type PolicyRules = z.infer<typeof PolicyRules>;

/** As a document may have them: with `shadow: true` on some. */
export const FlaggedRules = oneEach(FlaggedRule);
type FlaggedRules = z.infer<typeof FlaggedRules>;

/** The rules that apply, and those that are only looked at. */
export function sortRules(flagged: FlaggedRules): { categories: PolicyRules; shadow: PolicyRules } {
  const categories: PolicyRules = {};
  const shadow: PolicyRules = {};
  for (const signal of SIGNALS) {
    const { shadow: isShadow, ...rule } = flagged[signal] ?? {};
    // The cast: without its flag, a flagged rule is a rule; where there is none, nothing is set.
    if (flagged[signal] !== undefined) (isShadow ? shadow : categories)[signal] = rule as PolicyRule;
  }
  return { categories, shadow };
}

/** The rules as a directive carries them: without texts, and without what changes nothing. */
export function appliedRules(rules: PolicyRules): SignalRules {
  const applied: SignalRules = {};
  for (const signal of SIGNALS) {
    const rule = rules[signal];
    if (rule === undefined) continue;
    const { refusal: _, ceiling, opening, ...rest } = rule;
    applied[signal] = { ...rest, ...(ceiling < 1 && { ceiling }), ...(opening.tokens > 0 && { opening }) };
  }
  return applied;
}
