/**
 * MidPO's gates inside the graph (arXiv 2506.02460), for serving and training. They turn the MLP's
 * activation into each expert's share, and one number per expert into one number per column of the
 * stacked LoRA. There are E experts.
 */
import type { Value } from '../graph/graph.ts';
import { add, matmul, sigmoid } from '../graph/ops.ts';

/** `sigmoid(h W + b)`: `activation [..., F]`, `weight [F, E]`, `bias [E]` -> `[..., E]`. */
export function routerGates(activation: Value, { weight, bias }: { weight: Value; bias: Value }): Value {
  return sigmoid(add(matmul(activation, weight), bias));
}

/**
 * `[..., E] -> [..., R]`: spreads expert e's gate over its `ranks[e]` columns; R is the sum of the
 * ranks. It is a product with a matrix of zeros and ones: one node, exact (each sum has a single
 * non-zero term), and with a gradient.
 */
export function spreadGates(gates: Value, ranks: readonly number[]): Value {
  const owners = ranks.flatMap((rank, expert) => Array.from({ length: rank }, () => expert));
  const ones = ranks.flatMap((_, expert) => owners.map((owner) => Number(owner === expert)));
  const dims = [ranks.length, owners.length];
  const selector = gates.graph.constant(gates.dtype === 'double' ? 'double' : 'float', dims, ones);
  return matmul(gates, selector);
}
