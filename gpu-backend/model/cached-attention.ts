/**
 * Attention of new tokens over a past that the caller keeps and over each other: two products with
 * keys, one softmax over both, two products with values.
 *
 * Keys and values have the position first, `[P, B, KV, 1, hd]`, in the past as in the new tokens.
 * So any prefix of the caller's slab is one contiguous view. With `strided`, the products read them
 * in place, which onnxruntime does on CPUs and CUDA. Otherwise each is transposed first.
 */
import type { Value } from '../graph/graph.ts';
import { add, concat, matmul, reshape, reshapeTo, softmax, split, transpose } from '../graph/ops.ts';
import { type DecoderConfig, headDim } from './config.ts';
import type { Attention } from './decoder.ts';

/** What a run feeds for attention. The letters are decoder.ts's. */
export type AttentionInputs = {
  /** Per layer, `[P, B, KV, 1, hd]`. */
  past: readonly { keys: Value; values: Value }[];
  /** Additive, `[B, 1, 1, T, P+T]`. */
  mask: Value;
  /** int64: `[T, B, KV, H/KV, hd]` */
  queryShape: Value;
  /** int64: `[T, B, KV, 1, hd]` */
  keyShape: Value;
  /** int64: `[P, T]` */
  parts: Value;
};

/** Queries must be scaled already. */
export function cachedAttention(
  config: DecoderConfig,
  { past, mask, queryShape, keyShape, parts }: AttentionInputs,
  { strided }: { strided: boolean },
): Attention {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const hd = headDim(config);
  const products = strided ? stridedProducts : transposedProducts;
  return ({ queries, keys, values, layer }) => {
    const { keys: pastKeys, values: pastValues } = past[layer]!;
    const grouped = (x: Value) => reshapeTo(x, keyShape, ['T', 'B', kvHeads, 1, hd]);
    const newValues = grouped(values);
    const scoresOf = products.scores(reshapeTo(queries, queryShape, ['T', 'B', kvHeads, heads / kvHeads, hd]));
    const scores = concat([scoresOf(pastKeys), scoresOf(grouped(keys))], -1, 'P+T'); // [B, KV, G, T, P+T]
    const [onPast, onNew] = split(softmax(add(scores, mask)), 4, parts, ['P', 'T']);
    const attended = add(products.mix(onPast!, pastValues), products.mix(onNew!, newValues)); // [B, KV, G, T, hd]
    return reshape(transpose(attended, [3, 0, 1, 2, 4]), [-1, heads * hd], { inferred: 'N' });
  };
}

type Products = {
  /** Queries `[T, B, KV, G, hd]`, keys `[P, B, KV, 1, hd]` -> `[B, KV, G, T, P]`. */
  scores(queries: Value): (keys: Value) => Value;
  /** Weights `[B, KV, G, T, P]`, values `[P, B, KV, 1, hd]` -> `[B, KV, G, T, hd]`. */
  mix(weights: Value, values: Value): Value;
};

const stridedProducts: Products = {
  scores: (queries) => (keys) => matmul(queries, keys, { transB: true, rowsFirstA: true, rowsFirstB: true }),
  mix: (weights, values) => matmul(weights, values, { rowsFirstB: true }),
};

const transposedProducts: Products = {
  scores(queries) {
    const q = transpose(queries, [1, 2, 3, 0, 4]);
    return (keys) => matmul(q, transpose(keys, [1, 2, 3, 4, 0]));
  },
  mix: (weights, values) => matmul(weights, transpose(values, [1, 2, 3, 0, 4])),
};
