/**
 * A decoder of the Llama kind (Touvron et al., arXiv 2302.13971), described once: RMSNorm, rotary
 * positions, grouped-query attention, SwiGLU, a tied or untied head, and LoRA experts on
 * `down_proj`. What other families do differently is in the table of families.ts: biases on
 * queries, keys and values, and norms on queries and keys.
 *
 * serving-graph.ts and the training graphs in `training/` use the same `decoder`. They
 * differ only in where weights come from and in how attention sees the past.
 *
 * Letters: B rows, T new tokens per row, P past positions, V vocabulary, d hidden size, F
 * intermediate size, H heads, KV key/value heads, hd head dimension, E experts, r LoRA rank.
 *
 * Weights have Hugging Face's names but are laid out `[in, out]`, as MatMul reads them.
 * `transposeLinear` in `kernel-layout.ts` transposes them.
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

/** Where a named weight comes from: an initializer when serving, an input when training. */
export type WeightSource = (name: string) => Value;

/**
 * One layer's queries `[B, T, H*hd]`, and its keys and values `[B, T, KV*hd]`, all of the new
 * tokens.
 */
type AttentionInput = { queries: Value; keys: Value; values: Value; layer: number };
export type Attention = (input: AttentionInput) => Value;

/** Experts stacked for one product: `A [F, E*r]`, `B [E*r, d]`. */
export type LoraExperts = {
  a: (layer: number) => Value;
  b: (layer: number) => Value;
  /**
   * How much of each column counts, broadcast over `[B, T, E*r]`: 1 where a row uses that expert, a
   * fraction where a router mixes. null means that every column counts fully.
   */
  gates: ((at: GateInput) => Value) | null;
};

/** What gates may depend on. */
export type GateInput = {
  layer: number;
  /** `h [B, T, F]`, the input of down_proj. Serving routes by it. */
  activation: Value;
  /**
   * `x [B, T, d]`, the hidden state that enters the layer, before its first norm. Only the faithful
   * router looks at it, in training.
   */
  layerInput: Value;
};

export type DecoderInput = {
  config: DecoderConfig;
  weights: WeightSource;
  /** Token ids and their positions, `[B, T]` int64. */
  ids: Value;
  positions: Value;
  attention: Attention;
  lora: LoraExperts | null;
};

/** The last hidden states, normalised: `[B, T, d]`. */
export function decoder({ config, weights, ids, positions, attention, lora }: DecoderInput): Value {
  const family = familyOf(config);
  const table = weights('model.embed_tokens.weight');
  const rope = ropeTables(table, config);
  let x = gather(table, ids); // [B, T, d]
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const weight = layerWeights(weights, layer);
    const norm = (value: Value, name: string) => rmsNorm(value, weight(name), config.rms_norm_eps);
    const layerInput = x;

    const a = norm(x, 'input_layernorm');
    const project = (name: 'q' | 'k' | 'v') => {
      const projected = matmul(a, weight(`self_attn.${name}_proj`));
      return family.qkvBias ? add(projected, weights(`model.layers.${layer}.self_attn.${name}_proj.bias`)) : projected;
    };
    const rotated = (name: 'q' | 'k') => {
      const x = family.qkNorm ? normHeads(project(name), weight(`self_attn.${name}_norm`), config) : project(name);
      return rotary(x, positions, rope.cos, rope.sin);
    };
    const queries = rotated('q'); // [B, T, H*hd]
    const keys = rotated('k'); // [B, T, KV*hd]
    const values = project('v'); // [B, T, KV*hd]
    const attended = attention({ queries, keys, values, layer }); // [B, T, H*hd]
    x = add(x, matmul(attended, weight('self_attn.o_proj')));

    const b = norm(x, 'post_attention_layernorm');
    const activation = mlpActivation(b, weight); // [B, T, F]
    x = add(x, downProjection(weight('mlp.down_proj'), { layer, activation, layerInput }, lora));
  }
  return rmsNorm(x, weights('model.norm.weight'), config.rms_norm_eps);
}

/** Each head of `x [B, T, heads*hd]` through one RMSNorm over its own hd numbers. */
function normHeads(x: Value, weight: Value, config: DecoderConfig): Value {
  const width = Number(x.shape[2]);
  const heads = reshape(x, [0, 0, width / headDim(config), headDim(config)]);
  return reshape(rmsNorm(heads, weight, config.rms_norm_eps), [0, 0, width]);
}

/** A layer's weights by their short names, such as `mlp.up_proj`. */
export function layerWeights(weights: WeightSource, layer: number): WeightSource {
  return (name) => weights(`model.layers.${layer}.${name}.weight`);
}

/** SwiGLU before its last projection: `silu(x W_gate) * (x W_up)`, `[B, T, d] -> [B, T, F]`. */
export function mlpActivation(x: Value, weight: WeightSource): Value {
  return mul(silu(matmul(x, weight('mlp.gate_proj'))), matmul(x, weight('mlp.up_proj')));
}

/** Logits of hidden states: `[..., d] -> [..., V]`. */
export function lmHead(hidden: Value, config: DecoderConfig, weights: WeightSource): Value {
  if (config.tie_word_embeddings) return matmul(hidden, weights('model.embed_tokens.weight'), { transB: true });
  return matmul(hidden, weights('lm_head.weight'));
}

/**
 * `W_down h + ((h A) * gates) B`: all experts in one product. The gates decide how much of each
 * counts.
 */
function downProjection(weight: Value, at: GateInput, lora: LoraExperts | null): Value {
  const { layer, activation: h } = at;
  const base = matmul(h, weight);
  if (lora === null) return base;
  const low = matmul(h, lora.a(layer)); // [B, T, E*r]
  const gated = lora.gates === null ? low : mul(low, lora.gates(at));
  return add(base, matmul(gated, lora.b(layer)));
}

/** `[B, T, H*hd] -> [B, KV, H/KV, T, hd]`: groups query heads under the key head they share. */
export function splitQueries(queries: Value, config: DecoderConfig): Value {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  return transpose(reshape(queries, [0, 0, kvHeads, heads / kvHeads, headDim(config)]), [0, 2, 3, 1, 4]);
}

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
