/**
 * The line of one answer: the bounds that the gate must keep, whoever set them. A directive carries
 * it and a receipt repeats it.
 */
import * as z from 'zod';

/**
 * How a backend mixes the experts. `logits`: the gate mixes two rows, one per expert. `layers`: in
 * one row, a router mixes the experts inside every layer (MidPO, arXiv 2506.02460). The safety
 * expert's row runs beside it.
 */
export const BACKEND_MODES = ['logits', 'layers'] as const;
export const BackendMode = z.enum(BACKEND_MODES);
export type BackendMode = z.infer<typeof BackendMode>;

/**
 * All modes. `edge`: each expert has a backend of its own, and the edge mixes their rows as in
 * `logits`.
 */
export const MODES = [...BACKEND_MODES, 'edge'] as const;
export const Mode = z.enum(MODES);
export type Mode = z.infer<typeof Mode>;

/** The mode of a line under which the safety expert answers alone: no router is needed for that. */
export const modeAlone = (mode: Mode): Mode => (mode === 'edge' ? 'edge' : 'logits');

/**
 * From loose to strict. shared/gate/mix-experts.ts says what each means. Geometric counts as
 * stricter: under it, a token that the safety expert rules out stays ruled out at every weight
 * above 0. Arithmetic lets through the helpfulness expert's share of that token. This is a
 * convention, not a pointwise bound: neither mixture is below the other everywhere. But a join
 * needs one order, and this one keeps the veto.
 */
export const RULES = ['arithmetic', 'geometric'] as const;
export const Rule = z.enum(RULES);
export type Rule = z.infer<typeof Rule>;

/** From mildest to strictest. */
export const ACTIONS = ['mix', 'safety_only', 'refuse'] as const;
export const Action = z.enum(ACTIONS);
export type Action = z.infer<typeof Action>;

/** The safety expert's share, or a probability. */
export const Share = z.number().min(0).max(1);
/** Nats for the whole answer. null: no budget. */
export const Budget = z.number().min(0).nullable();

/**
 * A higher floor for an answer's first tokens, which decide most of its safety (arXiv 2406.05946).
 */
export const Opening = z.strictObject({ tokens: z.int().min(0), floor: Share });
export type Opening = z.infer<typeof Opening>;

/**
 * A budget that grows with the answer. After t tokens, at most `start + rate * t` nats are spent,
 * and never more than the budget.
 */
export const Earned = z.strictObject({ start: z.number().min(0), rate: z.number().min(0) });

export const Line = z.strictObject({
  /** `refuse` never reaches a backend. */
  action: Action.exclude(['refuse']),
  mode: Mode,
  /**
   * Only for the mode `logits`. In `layers` the model mixes the experts itself, and no rule
   * applies.
   */
  rule: Rule,
  floor: Share,
  ceiling: Share,
  opening: Opening,
  budget: Budget,
  /** null: the whole budget is there from the first token. */
  earned: Earned.nullable(),
});
export type Line = z.infer<typeof Line>;

/**
 * A line that restricts nothing. Evaluation and tests start from it. It must never stand in for a
 * missing line.
 */
export const OPEN_LINE: Line = {
  action: 'mix',
  mode: 'logits',
  rule: 'geometric',
  floor: 0,
  ceiling: 1,
  opening: { tokens: 0, floor: 0 },
  budget: null,
  earned: null,
};
