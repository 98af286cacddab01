/**
 * Many logistic regressions over the same features at once, as a graph: the loss and its gradient.
 * Features come in blocks (a layer's states in one pooling), which are read where they lie.
 *
 *     loss = sum_k [ sum_i share[i, k] * (softplus(z[i, k]) - target[i, k] * z[i, k])
 *                    + l2[k] / 2 * |weight[:, k]|^2 ],    z = sum over blocks of x . weight + bias
 */
import { Graph } from '#gpu-backend/graph/graph.ts';
import { add, matmul, mul, reduceSum, scale, softplus, sub } from '#gpu-backend/graph/ops.ts';
import { gradients } from '#training/autodiff/gradients.ts';

export type FitShape = {
  rows: number;
  /** The features of each block. */
  widths: readonly number[];
  columns: number;
};

/** The trained tensors: `weight.{block} [width, columns]` and `bias [columns]`. */
export function fitShapes({ widths, columns }: FitShape): Map<string, number[]> {
  return new Map([
    ...widths.map((width, i): [string, number[]] => [`weight.${i}`, [width, columns]]),
    ['bias', [columns]],
  ]);
}

/**
 * Inputs: per block `x.{block} [rows, width]`; `targets` and `shares` `[rows, columns]`, `l2
 * [columns]`, and the parameters. A share of 0 leaves a row out of a column. Outputs: `loss [1]`
 * and `grad.{parameter}`.
 */
export function buildFitGraph(shape: FitShape): Uint8Array {
  const { rows, widths, columns } = shape;
  const graph = new Graph('plimsoll-probe-fit');
  const targets = graph.input('targets', 'float', [rows, columns]);
  const shares = graph.input('shares', 'float', [rows, columns]);
  const l2 = graph.input('l2', 'float', [columns]);
  const parameters = new Map(
    [...fitShapes(shape)].map(([name, dims]) => [name, graph.input(name, 'float', dims)] as const),
  );
  const weights = widths.map((_, i) => parameters.get(`weight.${i}`)!);
  const z = widths.map((width, i) => matmul(graph.input(`x.${i}`, 'float', [rows, width]), weights[i]!)).reduce(add);
  const scores = add(z, parameters.get('bias')!); // [rows, columns]
  const losses = mul(shares, sub(softplus(scores), mul(targets, scores)));
  const total = reduceSum(reduceSum(losses, [0]), [0], { keepDims: true });
  const pulls = weights.map((weight) =>
    scale(reduceSum(mul(l2, reduceSum(mul(weight, weight), [0])), [0], { keepDims: true }), 0.5),
  );
  const loss = pulls.reduce(add, total);
  graph.output('loss', loss);
  const names = [...parameters.keys()];
  gradients(graph, loss, [...parameters.values()]).forEach((gradient, i) => {
    graph.output(`grad.${names[i]}`, gradient);
  });
  return graph.toModel();
}
