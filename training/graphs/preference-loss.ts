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
import type { Dim } from '#gpu-backend/graph/onnx-format.ts';
import { countOf, div, matmul, neg, reduceSum, reshape, scale, softplus, sub } from '#gpu-backend/graph/ops.ts';

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
  { rows, beta }: { rows: Dim; beta: number },
): PreferenceLoss {
  const reference = graph.input('reference', 'float', [rows]);
  const margin = graph.input('margin', 'float', [pairsOf(rows)]);
  const delta = chosenMinusRejected(sub(logprobs, reference)); // [N]
  // -log sigma(x) = softplus(-x), which does not overflow.
  return { dpo: mean(softplus(neg(sub(scale(delta, beta), margin)))), delta };
}

/** N of 2N rows. */
function pairsOf(rows: Dim): Dim {
  if (typeof rows === 'string') return PAIRS;
  if (rows % 2 !== 0) throw new Error(`a preference batch needs an even number of rows, not ${rows}`);
  return rows / 2;
}

const PAIRS = 'pairs';

/** `values [2N]` of the chosen answers minus those of the rejected ones, `[N]`. */
export function chosenMinusRejected(values: Value): Value {
  return overPairs(values, [1, -1]);
}

/** The sum over the chosen answers of `values [2N]`, `[1]`. */
export function ofChosen(values: Value): Value {
  return reduceSum(overPairs(values, [1, 0]), [0], { keepDims: true });
}

/** A product takes the halves of a batch apart, whatever their size. */
function overPairs(values: Value, factors: readonly [chosen: number, rejected: number]): Value {
  const halves = reshape(values, [2, -1], { inferred: pairsOf(values.shape[0]!) });
  return reshape(matmul(values.graph.constant('float', [1, 2], factors), halves), [-1]);
}

/** The mean of `values [N]`, `[1]`. */
export function mean(values: Value): Value {
  return div(reduceSum(values, [0], { keepDims: true }), countOf(values));
}
