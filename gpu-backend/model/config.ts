/**
 * `config.json` of a bundle: Hugging Face's fields for a Llama-family decoder. Only the ones we use
 * are read.
 */
import * as z from 'zod';

export const LlamaConfig = z
  .object({
    model_type: z.literal('llama'),
    vocab_size: z.int().min(1),
    hidden_size: z.int().min(1),
    intermediate_size: z.int().min(1),
    num_hidden_layers: z.int().min(1),
    num_attention_heads: z.int().min(1),
    num_key_value_heads: z.int().min(1),
    head_dim: z.int().min(2).optional(),
    max_position_embeddings: z.int().min(2),
    rms_norm_eps: z.number().positive(),
    rope_theta: z.number().positive().default(10_000),
    tie_word_embeddings: z.boolean().default(false),
    hidden_act: z.literal('silu').default('silu'),
    attention_bias: z.literal(false).default(false),
    mlp_bias: z.literal(false).default(false),
    rope_scaling: z.null().optional(),
    bos_token_id: z.int().nullable().default(null),
    eos_token_id: z.int(),
    pad_token_id: z.int().nullable().default(null),
  })
  .refine((c) => c.hidden_size % c.num_attention_heads === 0 || c.head_dim !== undefined, {
    message: 'hidden_size must be a multiple of num_attention_heads (or head_dim be given)',
  })
  .refine((c) => c.num_attention_heads % c.num_key_value_heads === 0, {
    message: 'num_attention_heads must be a multiple of num_key_value_heads',
  })
  .refine((c) => headDim(c) % 2 === 0, { message: 'the head dimension must be even, for RoPE' });
export type LlamaConfig = z.infer<typeof LlamaConfig>;

export function headDim(config: { hidden_size: number; num_attention_heads: number; head_dim?: number | undefined }) {
  return config.head_dim ?? config.hidden_size / config.num_attention_heads;
}

/** Weight names and shapes as in Hugging Face's Llama: linear weights are `[out, in]`. */
export function weightShapes(config: LlamaConfig): Map<string, number[]> {
  const { hidden_size: d, intermediate_size: f, vocab_size: v, num_hidden_layers: layers } = config;
  const q = config.num_attention_heads * headDim(config);
  const kv = config.num_key_value_heads * headDim(config);
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [v, d]]]);
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`;
    shapes.set(`${prefix}.input_layernorm.weight`, [d]);
    shapes.set(`${prefix}.self_attn.q_proj.weight`, [q, d]);
    shapes.set(`${prefix}.self_attn.k_proj.weight`, [kv, d]);
    shapes.set(`${prefix}.self_attn.v_proj.weight`, [kv, d]);
    shapes.set(`${prefix}.self_attn.o_proj.weight`, [d, q]);
    shapes.set(`${prefix}.post_attention_layernorm.weight`, [d]);
    shapes.set(`${prefix}.mlp.gate_proj.weight`, [f, d]);
    shapes.set(`${prefix}.mlp.up_proj.weight`, [f, d]);
    shapes.set(`${prefix}.mlp.down_proj.weight`, [d, f]);
  }
  shapes.set('model.norm.weight', [d]);
  if (!config.tie_word_embeddings) shapes.set('lm_head.weight', [v, d]);
  return shapes;
}
