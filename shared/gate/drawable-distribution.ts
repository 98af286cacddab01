/**
 * The only thing that a token may be drawn from. The brand is a symbol that never leaves this file.
 * So a mixture that has not passed the budget does not have this type, and drawing from it does not
 * compile. Only cap-by-budget.ts and greedy-choice.ts may use `markAsDrawable`. A test searches the
 * sources to make sure.
 */
declare const drawable: unique symbol;

export type DrawableDistribution = {
  /** log q, [vocabulary]. Masked tokens are -Infinity. */
  readonly logprobs: Float64Array;
  /**
   * The log of what the draw is measured against: the safety expert, sampled the same way,
   * [vocabulary]. Drawing token i spends `logprobs[i] - reference[i]` nats.
   */
  readonly reference: Float64Array;
  readonly [drawable]: true;
};

export function markAsDrawable(logprobs: Float64Array, reference: Float64Array): DrawableDistribution {
  // This is the one cast that makes the brand. The property exists only for the compiler.
  return { logprobs, reference } as DrawableDistribution;
}
