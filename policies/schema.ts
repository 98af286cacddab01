/**
 * The policy language. A policy is JSON; unknown fields are refused, and the two fields that decide most of the line,
 * `floor` and `budget`, have no default, so that an empty document is a mistake and not an open door.
 */
import * as z from 'zod';
import { LABELS } from '#shared/api/categories.ts';

const share = z.number().min(0).max(1);
const budget = z.number().min(0).nullable();

/** From the mildest to the strictest; `tighten` takes the later one. */
export const ACTIONS = ['mix', 'safety_only', 'refuse'] as const;
export const Action = z.enum(ACTIONS);
export type Action = z.infer<typeof Action>;

/**
 * Geometric counts as the stricter rule: under it a token that the safety expert rules out stays ruled out at every
 * weight above 0, while arithmetic lets through the helpfulness expert's share of it. That is a convention, not a
 * pointwise bound (neither mixture is below the other everywhere), but a join needs one order and this one keeps the veto.
 */
export const RULES = ['arithmetic', 'geometric'] as const;
export const Rule = z.enum(RULES);
export type Rule = z.infer<typeof Rule>;

/** A rule for one category grows from nothing at probability `from` to its whole at `full`. */
export const Ramp = z.strictObject({ from: share, full: share }).refine(({ from, full }) => from <= full, {
  path: ['full'],
  error: "must not lie below 'from'",
});
export type Ramp = z.infer<typeof Ramp>;

export const CategoryRule = z.strictObject({
  floor: share.default(0),
  /** Nats for the whole answer; null: no budget. */
  budget: budget.default(null),
  action: Action.default('mix'),
  ramp: Ramp,
});
export type CategoryRule = z.infer<typeof CategoryRule>;

export const Policy = z.strictObject({
  /** The least and the most weight of the safety expert; where they cross, the floor wins. */
  floor: share,
  ceiling: share.default(1),
  /** A higher floor for an answer's first tokens, which decide most of its safety (arXiv 2406.05946). */
  opening: z.strictObject({ tokens: z.int().min(0), floor: share }).default({ tokens: 0, floor: 0 }),
  rule: Rule.default('geometric'),
  /** Nats for the whole answer; null: no budget. */
  budget,
  action: Action.default('mix'),
  /**
   * Whether a request may ask for the mode `layers`, in which the experts are mixed inside the model. A floor there bounds the mixing
   * and nothing on the output, and the rule does not apply; only the budget bounds the answer. So it has to be allowed.
   */
  layers_mode: z.boolean().default(false),
  /** null: no limit. */
  limits: z.strictObject({ max_tokens: z.int().min(1).nullable().default(null) }).default({ max_tokens: null }),
  categories: z.partialRecord(z.enum(LABELS), CategoryRule).default({}),
});
export type Policy = z.infer<typeof Policy>;

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
