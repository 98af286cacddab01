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
  /** int64: `[0, 0, X, Y, 0]`, see `foldFor` */
  fold: Value;
  /** int64: `[P, T]` */
  parts: Value;
};

/**
 * How the products see the G query heads that share a key head, and T tokens: as X matrices of Y
 * rows, where X Y = G T. Each matrix reads all keys and values again.
 *
 * A single row is multiplied straight from memory, so with one token, every head has a matrix of
 * its own. For more rows, keys and values are rearranged block by block first. Over a long past
 * that takes longer than the products of a few tokens, so then all heads share one matrix. With
 * many tokens it matters little, and more matrices are easier to share among threads.
 */
export function foldFor({ tokens, groups }: { tokens: number; groups: number }): { matrices: number; rows: number } {
  const isShared = tokens > 1 && tokens <= FEW_TOKENS;
  return isShared ? { matrices: 1, rows: groups * tokens } : { matrices: groups, rows: tokens };
}

const FEW_TOKENS = 32;

/** Queries must be scaled already. */
export function cachedAttention(
  config: DecoderConfig,
  { past, mask, queryShape, keyShape, fold, parts }: AttentionInputs,
  { strided }: { strided: boolean },
): Attention {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const hd = headDim(config);
  const products = strided ? stridedProducts : transposedProducts;
  const folded = (x: Value) => reshapeTo(x, fold, ['B', x.shape[1]!, 'X', 'Y', x.shape[4]!]);
  const groups = heads / kvHeads;
  const hiding = folded(concat([mask, ...Array<Value>(groups - 1).fill(mask)], 2, groups)); // [B, 1, X, Y, P+T]
  return ({ queries, keys, values, layer }) => {
    const { keys: pastKeys, values: pastValues } = past[layer]!;
    const grouped = (x: Value) => reshapeTo(x, keyShape, ['T', 'B', kvHeads, 1, hd]);
    const newValues = grouped(values);
    const perToken = reshapeTo(queries, queryShape, ['T', 'B', kvHeads, groups, hd]);
    const scoresOf = products.scores(folded(transpose(perToken, [1, 2, 3, 0, 4])));
    const scores = concat([scoresOf(pastKeys), scoresOf(grouped(keys))], -1, 'P+T'); // [B, KV, X, Y, P+T]
    const [onPast, onNew] = split(softmax(add(scores, hiding)), 4, parts, ['P', 'T']);
    const attended = add(products.mix(onPast!, pastValues), products.mix(onNew!, newValues)); // [B, KV, X, Y, hd]
    const perHead = reshape(attended, [0, 0, groups, -1, 0], { inferred: 'T' });
    return reshape(transpose(perHead, [3, 0, 1, 2, 4]), [-1, heads * hd], { inferred: 'N' });
  };
}

type Products = {
  /** Queries `[B, KV, X, Y, hd]`, keys `[P, B, KV, 1, hd]` -> `[B, KV, X, Y, P]`. */
  scores(queries: Value): (keys: Value) => Value;
  /** Weights `[B, KV, X, Y, P]`, values `[P, B, KV, 1, hd]` -> `[B, KV, X, Y, hd]`. */
  mix(weights: Value, values: Value): Value;
};

const stridedProducts: Products = {
  scores: (queries) => (keys) => matmul(queries, keys, { transB: true, rowsFirstB: true }),
  mix: (weights, values) => matmul(weights, values, { rowsFirstB: true }),
};

const transposedProducts: Products = {
  scores: (queries) => (keys) => matmul(queries, transpose(keys, [1, 2, 3, 4, 0])),
  mix: (weights, values) => matmul(weights, transpose(values, [1, 2, 3, 0, 4])),
};
