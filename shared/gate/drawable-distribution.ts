/**
 * The only thing that a token may be drawn from. The brand is a symbol that leaves this file for nobody, so a mixture
 * that has not passed the budget is not one of these, and drawing from it does not compile. `markAsDrawable` is used by
 * cap-by-budget.ts and greedy-choice.ts and by nobody else; a test reads the imports and says so.
 */
declare const drawable: unique symbol;

export type DrawableDistribution = {
  /** log q, [vocabulary]. Masked tokens are -Infinity. */
  readonly logprobs: Float64Array;
  /**
   * The log of what the draw is measured against, [vocabulary]: drawing token i spends
   * `logprobs[i] - reference[i]` nats. It is the safety expert, sampled the same way.
   */
  readonly reference: Float64Array;
  readonly [drawable]: true;
};

export function markAsDrawable(logprobs: Float64Array, reference: Float64Array): DrawableDistribution {
  // The one cast that makes the brand: the property exists for the compiler only.
  return { logprobs, reference } as DrawableDistribution;
}
