/**
 * The policy language. A policy is JSON; unknown fields are refused, and the two fields that decide most of the line,
 * `floor` and `budget`, have no default, so that an empty document is a mistake and not an open door.
 */
import * as z from 'zod';
import { JUDGEMENTS } from '#shared/api/categories.ts';
import { Action, Budget, Opening, Rule, Share } from '#shared/line/line.ts';
import { type SignalRule, SignalRules } from '#shared/line/rules.ts';

const Fields = z.strictObject({
  /** The least and the most weight of the safety expert; where they cross, the floor wins. */
  floor: Share,
  ceiling: Share.default(1),
  opening: Opening.default({ tokens: 0, floor: 0 }),
  rule: Rule.default('geometric'),
  budget: Budget,
  action: Action.default('mix'),
  /**
   * Whether a request may ask for the mode `layers`, in which the experts are mixed inside the model. A floor there bounds the
   * mixing and nothing on the output, and the rule does not apply; only the budget bounds the answer. So it has to be allowed.
   */
  layers_mode: z.boolean().default(false),
  /** null: no limit. */
  limits: z.strictObject({ max_tokens: z.int().min(1).nullable().default(null) }).default({ max_tokens: null }),
  /** By harm category, `jailbreak`, `any_harm`, and what the classifier could not read: `unread`, `uncertain`. */
  categories: SignalRules.default({}),
});

/**
 * Text that nobody understood may hold whatever the policy is strict about. So a policy that says nothing of it gets two rules:
 * `unread` takes the strictest of the categories' floors, and `uncertain` (a language the classifier does not know) goes half of
 * the way there. They are filled in here and not where they are used, so that joining policies cannot lose them.
 */
export const Policy = Fields.transform((policy) => {
  const { floor, categories } = policy;
  const rules = JUDGEMENTS.map((judgement) => categories[judgement]).filter((rule) => rule !== undefined);
  const strictest = Math.max(floor, ...rules.map((rule) => (rule.action === 'mix' ? rule.floor : 1)));
  if (strictest === floor) return policy;
  const { unread = rising(strictest), uncertain = rising(floor + (strictest - floor) / 2) } = categories;
  return { ...policy, categories: { ...categories, unread, uncertain } };
});
export type Policy = z.infer<typeof Policy>;

const rising = (floor: number): SignalRule => ({ floor, budget: null, action: 'mix', ramp: { from: 0, full: 1 } });

/** The neutral element of `tighten`: it asks for nothing. */
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

/** What stands in for a policy that is missing or broken: the safety expert alone. */
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
