/**
 * A decoder of the Llama kind (Touvron et al., arXiv 2302.13971), described once: RMSNorm, rotary
 * positions, grouped-query attention, SwiGLU, a tied or untied head, and LoRA on any of its linear
 * modules. What other families do differently is in the table of families.ts: biases on queries,
 * keys and values, and norms on queries and keys.
 *
 * serving-graph.ts and the training graphs in `training/` use the same `decoder`. They differ only
 * in how the base's weights are stored, in what LoRA adds, in how attention sees the past, and in
 * which operators compute the steps between products. Training has tokens as `[B, T]`, and serving
 * has them in a line, `[N]`; below, `...` stands for either.
 *
 * Letters: B rows, T new tokens per row, N = T B tokens, P past positions, V vocabulary, d hidden
 * size, F intermediate size, H heads, KV key/value heads, hd head dimension, E experts, R the sum
 * of their LoRA ranks.
 */
import type { Value } from '../graph/graph.ts';
import {
  add,
  gather,
  matmul,
  mul,
  reshape,
  rmsNorm,
  rotary,
  scale,
  silu,
  softmax,
  transpose,
  unsqueeze,
} from '../graph/ops.ts';
import { type DecoderConfig, headDim } from './config.ts';
import { familyOf } from './families.ts';
import { ropeFrequencies } from './rope.ts';
import { EMBEDDING_WEIGHT, HEAD_WEIGHT } from './table-names.ts';

/**
 * The base model's weights at work, however they are stored. Modules have Hugging Face's names,
 * such as `model.layers.0.mlp.up_proj`.
 */
export interface BaseWeights {
  /** A norm's weight or a bias, by its full name: `[n]`. */
  vector(name: string): Value;
  /** `[...]` ids to `[..., d]`. */
  embed(ids: Value): Value;
  /** A linear module: the product with its weight, plus a bias. `[..., in] -> [..., out]`. */
  linear(x: Value, module: string, bias: Value | null): Value;
  /** Logits of hidden states: `[..., d] -> [..., V]`. */
  head(hidden: Value): Value;
}

/** Where a named weight comes from: an initializer when serving, an input when training. */
export type WeightSource = (name: string) => Value;

/**
 * Weights in floating point, under Hugging Face's names but laid out `[in, out]`, as MatMul reads
 * them. `transposeLinear` in kernel-layout.ts transposes them.
 */
export function floatWeights(weights: WeightSource, { tie_word_embeddings: tied }: DecoderConfig): BaseWeights {
  return {
    vector: weights,
    embed: (ids) => gather(weights(EMBEDDING_WEIGHT), ids),
    linear: (x, module, bias) => {
      const product = matmul(x, weights(`${module}.weight`));
      return bias === null ? product : add(product, bias);
    },
    head: (hidden) =>
      tied ? matmul(hidden, weights(EMBEDDING_WEIGHT), { transB: true }) : matmul(hidden, weights(HEAD_WEIGHT)),
  };
}

/**
 * What is computed between the products. Training needs operators that have gradients, and serving
 * takes fused ones.
 */
export interface DecoderSteps {
  /** Queries or keys at their positions. */
  rotate(x: Value, what: 'queries' | 'keys'): Value;
  /** `x + delta`, and the RMSNorm of that. */
  addNorm(x: Value, delta: Value, norm: { weight: Value; epsilon: number }): { sum: Value; normed: Value };
  /** `sum + x weight` */
  addProduct(sum: Value, x: Value, weight: Value): Value;
}

/** The steps in operators that have gradients, for tokens and `positions` `[B, T]`. */
export function plainSteps(config: DecoderConfig, positions: Value): DecoderSteps {
  return {
    rotate(x) {
      const { cos, sin } = ropeTables(x, config);
      return rotary(x, positions, cos, sin);
    },
    addNorm(x, delta, { weight, epsilon }) {
      const sum = add(x, delta);
      return { sum, normed: rmsNorm(sum, weight, epsilon) };
    },
    addProduct: (sum, x, weight) => add(sum, matmul(x, weight)),
  };
}

/**
 * One layer's queries `[..., H*hd]`, and its keys and values `[..., KV*hd]`, all of the new tokens.
 */
type AttentionInput = { queries: Value; keys: Value; values: Value; layer: number };
export type Attention = (input: AttentionInput) => Value;

/** A linear module at work on its input. */
export type ModuleInput = {
  layer: number;
  /** Its name inside the layer, such as `mlp.down_proj`. */
  module: string;
  /** `[..., in]`. For `mlp.down_proj` it is the MLP's activation h. */
  x: Value;
  /** `[..., d]`, the hidden state that enters the layer, before its first norm. */
  layerInput: Value;
};

/** What one module adds to its output: `((x A) * gates) B`. Experts are stacked for one product. */
type Lora = {
  /** `[in, R]` */
  a: Value;
  /** `[R, out]` */
  b: Value;
  /**
   * How much of each column counts, broadcast over `[..., R]`: 1 where a row uses that expert, a
   * fraction where a router mixes. null means that every column counts fully.
   */
  gates: Value | null;
};

/** The LoRA of each module; null where there is none. */
export type LoraExperts = (at: ModuleInput) => Lora | null;

export type DecoderInput = {
  config: DecoderConfig;
  weights: BaseWeights;
  /** Token ids, `[...]` int64. */
  ids: Value;
  steps: DecoderSteps;
  attention: Attention;
  lora: LoraExperts | null;
  /** Gets the states `[..., d]` that each layer leaves, before any norm. */
  onLayer?: (layer: number, states: Value) => void;
};

/** The last hidden states, normalised: `[..., d]`. */
export function decoder({ config, weights, ids, steps, attention, lora, onLayer }: DecoderInput): Value {
  const { qkvBias, qkNorm } = familyOf(config);
  const { num_hidden_layers: layers, rms_norm_eps: epsilon } = config;
  const normOf = (name: string) => ({ weight: weights.vector(`${name}.weight`), epsilon });
  /** The norm that reads what layer `layer - 1` leaves. */
  const normBefore = (layer: number) => normOf(layer < layers ? `model.layers.${layer}.input_layernorm` : 'model.norm');

  let sum = weights.embed(ids); // [..., d]
  let normed = rmsNorm(sum, normBefore(0).weight, epsilon);
  for (let layer = 0; layer < layers; layer++) {
    const inLayer = (name: string) => `model.layers.${layer}.${name}`;
    const layerInput = sum;
    const linear = (x: Value, module: string, bias: Value | null = null) => {
      const base = weights.linear(x, inLayer(module), bias);
      return withLora(base, x, { lora: lora?.({ layer, module, x, layerInput }) ?? null, steps });
    };

    const a = normed;
    const project = (name: 'q' | 'k' | 'v') => {
      const module = `self_attn.${name}_proj`;
      return linear(a, module, qkvBias ? weights.vector(inLayer(`${module}.bias`)) : null);
    };
    const rotated = (name: 'q' | 'k') => {
      const projected = project(name);
      const x = qkNorm ? normHeads(projected, normOf(inLayer(`self_attn.${name}_norm`)), config) : projected;
      return steps.rotate(x, name === 'q' ? 'queries' : 'keys');
    };
    const queries = rotated('q'); // [..., H*hd]
    const keys = rotated('k'); // [..., KV*hd]
    const values = project('v'); // [..., KV*hd]
    const attended = attention({ queries, keys, values, layer }); // [..., H*hd]
    const afterAttention = steps.addNorm(
      sum,
      linear(attended, 'self_attn.o_proj'),
      normOf(inLayer('post_attention_layernorm')),
    );
    const mlp = linear(mlpActivation(afterAttention.normed, linear), 'mlp.down_proj');
    ({ sum, normed } = steps.addNorm(afterAttention.sum, mlp, normBefore(layer + 1)));
    onLayer?.(layer, sum);
  }
  return normed;
}

/** Each head of `x [..., heads*hd]` through one RMSNorm over its own hd numbers. */
function normHeads(x: Value, { weight, epsilon }: { weight: Value; epsilon: number }, config: DecoderConfig): Value {
  const width = Number(x.shape.at(-1));
  const outer = x.shape.slice(0, -1).map(() => 0);
  const heads = reshape(x, [...outer, width / headDim(config), headDim(config)]);
  return reshape(rmsNorm(heads, weight, epsilon), [...outer, width]);
}

/**
 * SwiGLU before its last projection: `silu(W_gate x) * (W_up x)`, `[..., d] -> [..., F]`.
 *
 * @param linear a layer's modules by their short names, such as `mlp.up_proj`
 */
export function mlpActivation(x: Value, linear: (x: Value, module: string) => Value): Value {
  return mul(silu(linear(x, 'mlp.gate_proj')), linear(x, 'mlp.up_proj'));
}

/**
 * `W x + ((x A) * gates) B`: all experts in one product. The gates decide how much of each counts.
 */
function withLora(base: Value, x: Value, { lora, steps }: { lora: Lora | null; steps: DecoderSteps }): Value {
  if (lora === null) return base;
  const low = matmul(x, lora.a); // [..., R]
  const gated = lora.gates === null ? low : mul(low, lora.gates);
  return steps.addProduct(base, gated, lora.b);
}

/** `[B, T, H*hd] -> [B, KV, H/KV, T, hd]`: groups query heads under the key head they share. */
function splitQueries(queries: Value, config: DecoderConfig): Value {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  return transpose(reshape(queries, [0, 0, kvHeads, heads / kvHeads, headDim(config)]), [0, 2, 3, 1, 4]);
}

/** `[B, KV, H/KV, T, hd] -> [B, T, H*hd]`: undoes `splitQueries` after attention. */
function mergeHeads(attended: Value, config: DecoderConfig): Value {
  const width = config.num_attention_heads * headDim(config);
  return reshape(transpose(attended, [0, 3, 1, 2, 4]), [0, 0, width]); // [B, T, H*hd]
}

/**
 * Causal attention within one pass, for training and scoring. `mask [1, 1, 1, T, T]` is additive.
 */
export function causalAttention(config: DecoderConfig, mask: Value): Attention {
  return ({ queries, keys, values }) => {
    const grouped = [0, 0, config.num_key_value_heads, headDim(config)];
    const q = scale(splitQueries(queries, config), headDim(config) ** -0.5); // [B, KV, G, T, hd]
    const k = unsqueeze(transpose(reshape(keys, grouped), [0, 2, 1, 3]), 2); // [B, KV, 1, T, hd]
    const v = unsqueeze(transpose(reshape(values, grouped), [0, 2, 1, 3]), 2);
    const probabilities = softmax(add(matmul(q, k, { transB: true }), mask)); // [B, KV, G, T, T]
    return mergeHeads(matmul(probabilities, v), config);
  };
}

/**
 * Cosines and sines for every position, times `factor`, `[max_position_embeddings, hd / 2]`.
 *
 * @param name of the tables, if there are several
 */
export function ropeTables(
  like: Value,
  config: DecoderConfig,
  { name: prefix = 'rope', factor = 1 }: { name?: string; factor?: number } = {},
): { cos: Value; sin: Value } {
  const frequencies = ropeFrequencies(config, headDim(config));
  const half = frequencies.length;
  const dims = [config.max_position_embeddings, half];
  const fill = <T extends Float32Array | Float64Array>(numbers: T, f: (angle: number) => number): T => {
    for (let i = 0; i < numbers.length; i++) numbers[i] = factor * f(Math.floor(i / half) * frequencies[i % half]!);
    return numbers;
  };
  const table = (name: string, f: (angle: number) => number) =>
    like.graph.once(name, () =>
      like.dtype === 'double'
        ? like.graph.initializer(name, 'double', dims, fill(new Float64Array(dims[0]! * half), f))
        : like.graph.initializer(name, 'float', dims, fill(new Float32Array(dims[0]! * half), f)),
    );
  return { cos: table(`${prefix}.cos`, Math.cos), sin: table(`${prefix}.sin`, Math.sin) };
}
