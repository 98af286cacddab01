/**
 * The families of decoders that we compute. Each is Llama with a few differences, and this table
 * holds all of them. `config.ts` and `decoder.ts` ask the table what to do. No code asks which
 * family it has.
 */

export type Family = {
  /** Transformers' class for it, as `architectures` in config.json names it. */
  architecture: string;
  /** Queries, keys and values have a bias. */
  qkvBias: boolean;
  /** Each head of queries and keys goes through an RMSNorm of its own before it is rotated. */
  qkNorm: boolean;
  /**
   * What `sliding_window` in config.json means: it limits how far back every layer looks; it does
   * nothing, because `use_sliding_window` must be off; or the family has no such key.
   */
  window: 'every layer' | 'off' | 'none';
  /** What Transformers assumes when config.json lacks the key. null: as many as query heads. */
  defaults: { num_key_value_heads: number | null; head_dim?: number; sliding_window?: number };
};

export const FAMILIES = {
  llama: {
    architecture: 'LlamaForCausalLM',
    qkvBias: false,
    qkNorm: false,
    window: 'none',
    defaults: { num_key_value_heads: null },
  },
  mistral: {
    architecture: 'MistralForCausalLM',
    qkvBias: false,
    qkNorm: false,
    window: 'every layer',
    defaults: { num_key_value_heads: 8, sliding_window: 4096 },
  },
  qwen2: {
    architecture: 'Qwen2ForCausalLM',
    qkvBias: true,
    qkNorm: false,
    window: 'off',
    defaults: { num_key_value_heads: 32 },
  },
  qwen3: {
    architecture: 'Qwen3ForCausalLM',
    qkvBias: false,
    qkNorm: true,
    window: 'off',
    defaults: { num_key_value_heads: 32, head_dim: 128 },
  },
} as const satisfies Record<string, Family>;

/** `model_type` in config.json. */
export type FamilyName = keyof typeof FAMILIES;

export function familyOf({ model_type }: { model_type: FamilyName }): Family {
  return FAMILIES[model_type];
}
