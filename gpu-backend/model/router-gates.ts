/**
 * MidPO's gates inside the graph (arXiv 2506.02460), for serving and training. They turn the MLP's
 * activation into each expert's share, and one number per expert into one number per column of the
 * stacked LoRA. There are E experts of rank r.
 */
import type { Value } from '../graph/graph.ts';
import { add, matmul, sigmoid } from '../graph/ops.ts';

/** `sigmoid(h W + b)`: `activation [B, T, F]`, `weight [F, E]`, `bias [E]` -> `[B, T, E]`. */
export function routerGates(activation: Value, { weight, bias }: { weight: Value; bias: Value }): Value {
  return sigmoid(add(matmul(activation, weight), bias));
}

/**
 * `[..., E] -> [..., E*r]`: spreads expert e's gate over its columns e*r..(e+1)*r. It is a product
 * with a matrix of zeros and ones: one node, exact (each sum has a single non-zero term), and with
 * a gradient.
 */
export function spreadGates(gates: Value, rank: number): Value {
  const experts = Number(gates.shape.at(-1));
  const wide = experts * rank;
  const ones = Array.from({ length: experts * wide }, (_, i) =>
    Number(Math.floor((i % wide) / rank) === Math.floor(i / wide)),
  );
  const selector = gates.graph.constant(gates.dtype === 'double' ? 'double' : 'float', [experts, wide], ones);
  return matmul(gates, selector);
}
