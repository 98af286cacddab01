/**
 * A decoder of the Llama kind (Touvron et al., arXiv 2302.13971), described once: RMSNorm, rotary
 * positions, grouped-query attention, SwiGLU, a tied or untied head, and LoRA on any of its linear
 * modules. What other families do differently is in the table of families.ts: biases on queries,
 * keys and values, and norms on queries and keys.
 *
 * serving-graph.ts and the training graphs in `training/` use the same `decoder`. They differ only
 * in how the base's weights are stored, in what LoRA adds, and in how attention sees the past.
 *
 * Letters: B rows, T new tokens per row, P past positions, V vocabulary, d hidden size, F
 * intermediate size, H heads, KV key/value heads, hd head dimension, E experts, R the sum of
 * their LoRA ranks.
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
  /** `[B, T]` ids to `[B, T, d]`. */
  embed(ids: Value): Value;
  /** The product with a linear module's weight, without its bias: `[..., in] -> [..., out]`. */
  linear(x: Value, module: string): Value;
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
    linear: (x, module) => matmul(x, weights(`${module}.weight`)),
    head: (hidden) =>
      tied ? matmul(hidden, weights(EMBEDDING_WEIGHT), { transB: true }) : matmul(hidden, weights(HEAD_WEIGHT)),
  };
}

/**
 * One layer's queries `[B, T, H*hd]`, and its keys and values `[B, T, KV*hd]`, all of the new
 * tokens.
 */
type AttentionInput = { queries: Value; keys: Value; values: Value; layer: number };
export type Attention = (input: AttentionInput) => Value;

/** A linear module at work on its input. */
export type ModuleInput = {
  layer: number;
  /** Its name inside the layer, such as `mlp.down_proj`. */
  module: string;
  /** `[B, T, in]`. For `mlp.down_proj` it is the MLP's activation h. */
  x: Value;
  /** `[B, T, d]`, the hidden state that enters the layer, before its first norm. */
  layerInput: Value;
};

/** What one module adds to its output: `((x A) * gates) B`. Experts are stacked for one product. */
export type Lora = {
  /** `[in, R]` */
  a: Value;
  /** `[R, out]` */
  b: Value;
  /**
   * How much of each column counts, broadcast over `[B, T, R]`: 1 where a row uses that expert, a
   * fraction where a router mixes. null means that every column counts fully.
   */
  gates: Value | null;
};

/** The LoRA of each module; null where there is none. */
export type LoraExperts = (at: ModuleInput) => Lora | null;

export type DecoderInput = {
  config: DecoderConfig;
  weights: BaseWeights;
  /** Token ids and their positions, `[B, T]` int64. */
  ids: Value;
  positions: Value;
  attention: Attention;
  lora: LoraExperts | null;
};

/** The last hidden states, normalised: `[B, T, d]`. */
export function decoder({ config, weights, ids, positions, attention, lora }: DecoderInput): Value {
  const family = familyOf(config);
  let x = weights.embed(ids); // [B, T, d]
  const rope = ropeTables(x, config);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const inLayer = (name: string) => `model.layers.${layer}.${name}`;
    const norm = (value: Value, name: string) =>
      rmsNorm(value, weights.vector(inLayer(`${name}.weight`)), config.rms_norm_eps);
    const layerInput = x;
    const linear = (x: Value, module: string) => {
      const base = weights.linear(x, inLayer(module));
      return withLora(base, x, lora?.({ layer, module, x, layerInput }) ?? null);
    };

    const a = norm(x, 'input_layernorm');
    const project = (name: 'q' | 'k' | 'v') => {
      const projected = linear(a, `self_attn.${name}_proj`);
      return family.qkvBias ? add(projected, weights.vector(inLayer(`self_attn.${name}_proj.bias`))) : projected;
    };
    const rotated = (name: 'q' | 'k') => {
      const projected = project(name);
      const normWeight = () => weights.vector(inLayer(`self_attn.${name}_norm.weight`));
      const x = family.qkNorm ? normHeads(projected, normWeight(), config) : projected;
      return rotary(x, positions, rope.cos, rope.sin);
    };
    const queries = rotated('q'); // [B, T, H*hd]
    const keys = rotated('k'); // [B, T, KV*hd]
    const values = project('v'); // [B, T, KV*hd]
    const attended = attention({ queries, keys, values, layer }); // [B, T, H*hd]
    x = add(x, linear(attended, 'self_attn.o_proj'));

    const b = norm(x, 'post_attention_layernorm');
    x = add(x, linear(mlpActivation(b, linear), 'mlp.down_proj'));
  }
  return rmsNorm(x, weights.vector('model.norm.weight'), config.rms_norm_eps);
}

/** Each head of `x [B, T, heads*hd]` through one RMSNorm over its own hd numbers. */
function normHeads(x: Value, weight: Value, config: DecoderConfig): Value {
  const width = Number(x.shape[2]);
  const heads = reshape(x, [0, 0, width / headDim(config), headDim(config)]);
  return reshape(rmsNorm(heads, weight, config.rms_norm_eps), [0, 0, width]);
}

/**
 * SwiGLU before its last projection: `silu(W_gate x) * (W_up x)`, `[B, T, d] -> [B, T, F]`.
 *
 * @param linear a layer's modules by their short names, such as `mlp.up_proj`
 */
export function mlpActivation(x: Value, linear: (x: Value, module: string) => Value): Value {
  return mul(silu(linear(x, 'mlp.gate_proj')), linear(x, 'mlp.up_proj'));
}

/**
 * `W x + ((x A) * gates) B`: all experts in one product. The gates decide how much of each counts.
 */
function withLora(base: Value, x: Value, lora: Lora | null): Value {
  if (lora === null) return base;
  const low = matmul(x, lora.a); // [B, T, R]
  const gated = lora.gates === null ? low : mul(low, lora.gates);
  return add(base, matmul(gated, lora.b));
}

/** `[B, T, H*hd] -> [B, KV, H/KV, T, hd]`: groups query heads under the key head they share. */
export function splitQueries(queries: Value, config: DecoderConfig): Value {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  return transpose(reshape(queries, [0, 0, kvHeads, heads / kvHeads, headDim(config)]), [0, 2, 3, 1, 4]);
}

/** `[B, KV, H/KV, T, hd] -> [B, T, H*hd]`: undoes `splitQueries` after attention. */
export function mergeHeads(attended: Value, config: DecoderConfig): Value {
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

/** Cosines and sines for every position, `[max_position_embeddings, hd / 2]`. */
function ropeTables(like: Value, config: DecoderConfig): { cos: Value; sin: Value } {
  const frequencies = ropeFrequencies(config, headDim(config));
  const half = frequencies.length;
  const dims = [config.max_position_embeddings, half];
  const fill = <T extends Float32Array | Float64Array>(numbers: T, f: (angle: number) => number): T => {
    for (let i = 0; i < numbers.length; i++) numbers[i] = f(Math.floor(i / half) * frequencies[i % half]!);
    return numbers;
  };
  const table = (name: string, f: (angle: number) => number) =>
    like.graph.once(name, () =>
      like.dtype === 'double'
        ? like.graph.initializer(name, 'double', dims, fill(new Float64Array(dims[0]! * half), f))
        : like.graph.initializer(name, 'float', dims, fill(new Float32Array(dims[0]! * half), f)),
    );
  return { cos: table('rope.cos', Math.cos), sin: table('rope.sin', Math.sin) };
}
