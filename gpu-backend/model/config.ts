/**
 * `config.json` of a bundle: Hugging Face's fields for a decoder of one of our families
 * (families.ts). Every key of the file is read, known to be harmless, or refused; config-keys.ts
 * says which is which.
 */
import * as z from 'zod';
import { refusedKeys, show } from './config-keys.ts';
import { FAMILIES, type FamilyName, familyOf } from './families.ts';
import { type Report, ROPE_KEYS, readRope } from './read-rope.ts';
import type { Rope, RopeScaling } from './rope.ts';
import { EMBEDDING_WEIGHT, HEAD_WEIGHT } from './table-names.ts';

const familyNames = Object.keys(FAMILIES) as [FamilyName, ...FamilyName[]];

/** One id or several, as `eos_token_id` has them. */
export const TokenIds = z.union([z.int(), z.array(z.int()).nonempty({ error: notTokenIds })], { error: notTokenIds });

function notTokenIds({ input }: { input?: unknown }): string {
  return `found ${show(input)}, wanted a token id or a list of them`;
}

/** What a config may claim. Nothing is as large, and what follows makes lists of such lengths. */
const MOST_SIZE = 2 ** 24;
const MOST_LAYERS = 1024;

const size = (least: number, most: number) =>
  z
    .int()
    .min(least)
    .max(most, { error: ({ input }) => `found ${show(input)}, wanted at most ${most}` });

const Fields = z.looseObject({
  model_type: z.enum(familyNames, {
    error: ({ input }) => `found ${show(input)}, wanted one of ${familyNames.map(show).join(', ')}`,
  }),
  vocab_size: size(1, MOST_SIZE),
  hidden_size: size(1, MOST_SIZE),
  intermediate_size: size(1, MOST_SIZE),
  num_hidden_layers: size(1, MOST_LAYERS),
  num_attention_heads: size(1, MOST_SIZE),
  num_key_value_heads: z.int().min(1).nullish(),
  head_dim: size(2, MOST_SIZE).nullish(),
  max_position_embeddings: z.int().min(2),
  rms_norm_eps: z.number().positive(),
  tie_word_embeddings: z.boolean().default(false),
  sliding_window: z.int().min(1).nullish(),
  architectures: z.array(z.string()).nullish(),
  layer_types: z.array(z.string()).nullish(),
  bos_token_id: z.int().nullable().default(null),
  eos_token_id: TokenIds,
  pad_token_id: z.int().nullable().default(null),
});

const READ: ReadonlySet<string> = new Set([...Object.keys(Fields.shape), ...ROPE_KEYS]);

/**
 * A config as the rest of the code reads it. The names are Hugging Face's. Written as JSON, it is a
 * config.json that says the same.
 */
export type DecoderConfig = {
  model_type: FamilyName;
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim?: number | undefined;
  /** The context length: prompt and answer together. */
  max_position_embeddings: number;
  rms_norm_eps: number;
  rope_theta: number;
  /** Missing if positions are not scaled. */
  rope_scaling?: RopeScaling | undefined;
  tie_word_embeddings: boolean;
  hidden_act: 'silu';
  /** Llama's own keys, which other families lack. */
  attention_bias?: false | undefined;
  mlp_bias?: false | undefined;
  /** Only families with a window have it. */
  sliding_window?: number | null | undefined;
  bos_token_id: number | null;
  /** The tokens that end an answer; `eosIds` reads them. */
  eos_token_id: number | number[];
  pad_token_id: number | null;
};

export const DecoderConfig: z.ZodType<DecoderConfig> = Fields.transform((raw, context) => {
  const report = (path: readonly string[], message: string) =>
    context.addIssue({ code: 'custom', path: [...path], message, input: raw });
  const family = familyOf(raw);
  for (const { key, message } of refusedKeys(raw, { family, read: READ })) report([key], message);
  const rope = readRope(raw, report);
  const config = rope && canonical(raw, rope);
  if (config !== null) checkShape(config, report);
  checkClaims(raw, report);
  return config ?? z.NEVER;
});

function canonical(raw: z.infer<typeof Fields>, { rope_theta, rope_scaling }: Rope): DecoderConfig {
  const { window, defaults } = familyOf(raw);
  const head_dim = raw.head_dim ?? defaults.head_dim;
  return {
    model_type: raw.model_type,
    vocab_size: raw.vocab_size,
    hidden_size: raw.hidden_size,
    intermediate_size: raw.intermediate_size,
    num_hidden_layers: raw.num_hidden_layers,
    num_attention_heads: raw.num_attention_heads,
    num_key_value_heads: raw.num_key_value_heads ?? defaults.num_key_value_heads ?? raw.num_attention_heads,
    ...(head_dim !== undefined && { head_dim }),
    max_position_embeddings: raw.max_position_embeddings,
    rms_norm_eps: raw.rms_norm_eps,
    rope_theta,
    tie_word_embeddings: raw.tie_word_embeddings,
    hidden_act: 'silu',
    ...(raw.model_type === 'llama' && { attention_bias: false, mlp_bias: false }),
    ...(rope_scaling !== undefined && { rope_scaling }),
    bos_token_id: raw.bos_token_id,
    eos_token_id: raw.eos_token_id,
    pad_token_id: raw.pad_token_id,
    ...(window === 'every layer' && {
      sliding_window: raw.sliding_window === undefined ? (defaults.sliding_window ?? null) : raw.sliding_window,
    }),
  };
}

function checkShape(config: DecoderConfig, report: Report): void {
  const { hidden_size: d, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim } = config;
  if (d % heads !== 0 && head_dim === undefined) {
    report([], `hidden_size: found ${d}, wanted a multiple of num_attention_heads (${heads}), or a head_dim`);
  } else if (headDim(config) % 2 !== 0) {
    report([], `head_dim: found ${headDim(config)}, wanted an even number, for rotary positions`);
  }
  if (heads % kvHeads !== 0) {
    report([], `num_attention_heads: found ${heads}, wanted a multiple of num_key_value_heads (${kvHeads})`);
  }
}

/** Keys that say in words what kind of model this is must say what we compute. */
function checkClaims(raw: z.infer<typeof Fields>, report: Report): void {
  const { architecture, window } = familyOf(raw);
  const { architectures, layer_types: layers, sliding_window: tokens } = raw;
  if (architectures && !architectures.some((name) => name.toLowerCase() === architecture.toLowerCase())) {
    report(['architectures'], `found ${show(architectures)}, wanted ${show([architecture])}`);
  }
  if (window === 'none' && tokens != null) {
    report(['sliding_window'], `found ${tokens}, wanted null: ${raw.model_type} has no window`);
  }
  const kind = window === 'every layer' && tokens !== null ? 'sliding_attention' : 'full_attention';
  const other = layers?.find((layer) => layer !== kind);
  if (other !== undefined) report(['layer_types'], `found ${show(other)}, wanted ${show(kind)} in every layer`);
}

export function headDim(config: { hidden_size: number; num_attention_heads: number; head_dim?: number | undefined }) {
  return config.head_dim ?? config.hidden_size / config.num_attention_heads;
}

/** The ids of all tokens that end an answer. */
export function eosIds({ eos_token_id }: Pick<DecoderConfig, 'eos_token_id'>): number[] {
  return typeof eos_token_id === 'number' ? [eos_token_id] : [...new Set(eos_token_id)];
}

/**
 * How many tokens a token sees, itself included: as in Transformers, keys after `position -
 * window`. null if every token of the context sees all before it.
 */
export function slidingWindow({ sliding_window: window, max_position_embeddings: context }: DecoderConfig) {
  return window != null && window < context ? window : null;
}

/** Weight names and shapes as in Hugging Face's decoders: linear weights are `[out, in]`. */
export function weightShapes(config: DecoderConfig): Map<string, number[]> {
  const { hidden_size: d, intermediate_size: f, vocab_size: v, num_hidden_layers: layers } = config;
  const { qkvBias, qkNorm } = familyOf(config);
  const q = config.num_attention_heads * headDim(config);
  const kv = config.num_key_value_heads * headDim(config);
  const shapes = new Map<string, number[]>([[EMBEDDING_WEIGHT, [v, d]]]);
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`;
    shapes.set(`${prefix}.input_layernorm.weight`, [d]);
    shapes.set(`${prefix}.self_attn.q_proj.weight`, [q, d]);
    shapes.set(`${prefix}.self_attn.k_proj.weight`, [kv, d]);
    shapes.set(`${prefix}.self_attn.v_proj.weight`, [kv, d]);
    if (qkvBias) {
      shapes.set(`${prefix}.self_attn.q_proj.bias`, [q]);
      shapes.set(`${prefix}.self_attn.k_proj.bias`, [kv]);
      shapes.set(`${prefix}.self_attn.v_proj.bias`, [kv]);
    }
    if (qkNorm) {
      shapes.set(`${prefix}.self_attn.q_norm.weight`, [headDim(config)]);
      shapes.set(`${prefix}.self_attn.k_norm.weight`, [headDim(config)]);
    }
    shapes.set(`${prefix}.self_attn.o_proj.weight`, [d, q]);
    shapes.set(`${prefix}.post_attention_layernorm.weight`, [d]);
    shapes.set(`${prefix}.mlp.gate_proj.weight`, [f, d]);
    shapes.set(`${prefix}.mlp.up_proj.weight`, [f, d]);
    shapes.set(`${prefix}.mlp.down_proj.weight`, [d, f]);
  }
  shapes.set('model.norm.weight', [d]);
  if (!config.tie_word_embeddings) shapes.set(HEAD_WEIGHT, [v, d]);
  return shapes;
}
