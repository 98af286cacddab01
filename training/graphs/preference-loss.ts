/**
 * Direct preference optimisation (Rafailov et al., arXiv 2305.18290, eq. 7) with a margin:
 *
 *   loss = - mean log sigma( beta * ((log pi(y_w) - log ref(y_w))
 *                                    - (log pi(y_l) - log ref(y_l))) - margin )
 *
 * With margin 0 this is DPO. MidPO's single-preference enhanced DPO (arXiv 2506.02460, section 3.1)
 * takes the margin from a model of the preferred dimension. The safety expert gets it from the
 * cost, max(0, c_l - c_w), and the helpfulness expert from the reward, max(0, r_w - r_l). The
 * scaled log-ratio has to exceed the margin, so a pair that differs more clearly is pushed further
 * apart.
 */
import type { Graph, Value } from '#gpu-backend/graph/graph.ts';
import { neg, reduceSum, scale, slice, softplus, sub } from '#gpu-backend/graph/ops.ts';

export type PreferenceLoss = {
  /** One number. */
  dpo: Value;
  /** `[N]`: the difference of log-ratios that beta multiplies, in nats. */
  delta: Value;
};

/**
 * `logprobs [2N]` holds the N chosen answers first, then the N rejected ones. Adds two inputs:
 * `margin [N]`, in nats, and `reference [2N]`, the log-probabilities under the reference. These do
 * not change, so the caller computes them once.
 */
export function preferenceLoss(
  graph: Graph,
  logprobs: Value,
  { rows, beta }: { rows: number; beta: number },
): PreferenceLoss {
  const pairs = rows / 2;
  if (!Number.isInteger(pairs)) throw new Error(`a preference batch needs an even number of rows, not ${rows}`);
  const reference = graph.input('reference', 'float', [rows]);
  const margin = graph.input('margin', 'float', [pairs]);
  const ratios = sub(logprobs, reference);
  const delta = sub(slice(ratios, 0, 0, pairs), slice(ratios, 0, pairs, rows)); // [N]
  // -log sigma(x) = softplus(-x), which does not overflow.
  const losses = softplus(neg(sub(scale(delta, beta), margin)));
  return { dpo: scale(reduceSum(losses, [0], { keepDims: true }), 1 / pairs), delta };
}
