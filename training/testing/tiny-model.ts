/** A two-layer model small enough for finite differences, with fixed pseudo-random weights. */
import { DecoderConfig } from '#gpu-backend/model/config.ts';
import { createRandom } from '../data/random.ts';
import type { Parameters } from '../optim/adamw.ts';
import { emptyTensors, kernelShapes } from '../stages/base-model.ts';
import { fillNormal } from '../stages/sft.ts';

export const TINY: DecoderConfig = {
  model_type: 'llama',
  vocab_size: 17,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 16,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: true,
  hidden_act: 'silu',
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
};

/** The tiny model with other keys in its config.json, such as another family's. */
export function tinyConfig(changes: Record<string, unknown>): DecoderConfig {
  return DecoderConfig.parse({ ...TINY, attention_bias: null, mlp_bias: null, ...changes });
}

/** Large enough for a vocabulary learned on the small world, and for its conversations. */
export const TINY_WORLD: DecoderConfig = {
  ...TINY,
  vocab_size: 400,
  hidden_size: 32,
  intermediate_size: 48,
  max_position_embeddings: 512,
  eos_token_id: 5,
};

export function tinyWeights(config: DecoderConfig = TINY, seed = 'tiny'): Parameters {
  const weights = emptyTensors(kernelShapes(config));
  for (const [name, { data }] of weights) {
    if (name.includes('norm')) data.fill(1);
    else fillNormal(data, 0.3, createRandom(`${seed}/${name}`));
  }
  return weights;
}
