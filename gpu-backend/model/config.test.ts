import { describe, expect, test } from 'vitest';
import { DecoderConfig, eosIds, headDim, slidingWindow, weightShapes } from './config.ts';
import { PUBLISHED } from './fixtures/published-configs.ts';

const TINY = {
  model_type: 'llama',
  vocab_size: 272,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 96,
  rms_norm_eps: 1e-5,
  eos_token_id: 5,
};
const parse = (changes: Record<string, unknown>) => DecoderConfig.parse({ ...TINY, ...changes });
/** What is wrong with a config: `key: message` for each problem, as readJson prints it. */
function problems(changes: Record<string, unknown>): string[] {
  const parsed = DecoderConfig.safeParse({ ...TINY, ...changes });
  return (parsed.error?.issues ?? []).map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '));
}

describe('published configs', () => {
  test.each(Object.entries(PUBLISHED))('%s is accepted, and says the same once written and read again', (_, raw) => {
    const config = DecoderConfig.parse(raw);
    expect(DecoderConfig.parse(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  const config = (name: keyof typeof PUBLISHED) => DecoderConfig.parse(PUBLISHED[name]);

  test('Llama 3.1: scaled positions and three ends', () => {
    const llama = config('Llama-3.1-8B-Instruct');
    expect(llama).toMatchObject({ rope_theta: 500_000, rope_scaling: { rope_type: 'llama3', factor: 8 } });
    expect(eosIds(llama)).toEqual([128001, 128008, 128009]);
  });

  test('the same in the words of Transformers 5', () => {
    expect(config('Llama-3.1-8B-Instruct, saved by Transformers 5')).toEqual(config('Llama-3.1-8B-Instruct'));
  });

  test('Mistral 7B: a window in the first version, none in the third', () => {
    expect(slidingWindow(config('Mistral-7B-v0.1'))).toBe(4096);
    expect(slidingWindow(config('Mistral-7B-Instruct-v0.3'))).toBeNull();
  });

  test('Qwen2.5: biases on queries, keys and values, and no window', () => {
    const qwen = config('Qwen2.5-0.5B-Instruct');
    expect(slidingWindow(qwen)).toBeNull();
    expect(weightShapes(qwen).get('model.layers.23.self_attn.k_proj.bias')).toEqual([128]);
    expect([...weightShapes(qwen).keys()].filter((name) => name.endsWith('.bias'))).toHaveLength(3 * 24);
  });

  test('Qwen3: norms on each head, and heads wider than their share', () => {
    const qwen = config('Qwen3-0.6B');
    expect(headDim(qwen)).toBe(128);
    expect(weightShapes(qwen).get('model.layers.0.self_attn.q_norm.weight')).toEqual([128]);
    expect(weightShapes(qwen).get('model.layers.0.self_attn.o_proj.weight')).toEqual([1024, 2048]);
  });
});

describe('what Transformers assumes when a key is missing', () => {
  test.each<[string, Record<string, unknown>, Partial<DecoderConfig>]>([
    ['as many key heads as query heads', { num_key_value_heads: undefined }, { num_key_value_heads: 4 }],
    ['theta 10000', {}, { rope_theta: 10_000 }],
    [
      'theta 10000, even beside scaling',
      { rope_parameters: { rope_type: 'linear', factor: 2 } },
      { rope_theta: 10_000 },
    ],
    ['a window of 4096 in Mistral', { model_type: 'mistral' }, { sliding_window: 4096 }],
    ['heads of 128 in Qwen3', { model_type: 'qwen3' }, { head_dim: 128 }],
  ])('%s', (_, changes, wanted) => {
    expect(parse(changes)).toMatchObject(wanted);
  });
});

test('a window counts only if it is smaller than the context', () => {
  const window = (sliding_window: number | null) => slidingWindow(parse({ model_type: 'mistral', sliding_window }));
  expect([window(95), window(96), window(97), window(null)]).toEqual([95, null, null, null]);
});

const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };

test.each<[Record<string, unknown>, string]>([
  // Families.
  [{ model_type: 'gemma2' }, 'model_type: found "gemma2", wanted one of "llama", "mistral", "qwen2", "qwen3"'],
  [{ model_type: 'qwen3_moe' }, 'model_type: found "qwen3_moe", wanted one of "llama", "mistral", "qwen2", "qwen3"'],
  [
    { architectures: ['LlamaForSequenceClassification'] },
    'architectures: found ["LlamaForSequenceClassification"], wanted ["LlamaForCausalLM"]',
  ],
  // Rotary positions.
  ...(['dynamic', 'yarn', 'longrope', 'su', 'mrope'].flatMap((type) =>
    [
      { rope_scaling: { type, factor: 2 } },
      { rope_scaling: { rope_type: type, factor: 2 } },
      { rope_parameters: { rope_type: type, rope_theta: 10_000, factor: 2 } },
    ].map((changes) => {
      const [place, rope] = Object.entries(changes)[0]!;
      const key = 'type' in rope ? 'type' : 'rope_type';
      return [changes, `${place}.${key}: found "${type}", wanted one of "default", "linear", "llama3"`];
    }),
  ) as [Record<string, unknown>, string][]),
  [
    { rope_parameters: { full_attention: { rope_type: 'default', rope_theta: 1e6 } } },
    'rope_parameters.full_attention: found {"rope_type":"default","rope_theta":1000000}, wanted no such key with rope_type "default"',
  ],
  [
    { rope_scaling: { type: 'default', mrope_section: [2, 1, 1] } },
    'rope_scaling.mrope_section: found [2,1,1], wanted no such key with rope_type "default"',
  ],
  [
    { rope_theta: 10_000, rope_parameters: { rope_theta: 500_000 } },
    'rope_parameters.rope_theta: found 500000, wanted 10000 as in rope_theta',
  ],
  [
    { rope_scaling: { type: 'linear', rope_type: 'llama3', ...LLAMA3 } },
    'rope_scaling.rope_type: found "llama3", wanted "linear" as in rope_scaling.type',
  ],
  [{ rope_scaling: { type: 'linear' } }, 'rope_scaling.factor: found nothing, wanted a positive number'],
  [{ rope_scaling: { type: 'linear', factor: 0 } }, 'rope_scaling.factor: found 0, wanted a positive number'],
  [
    { rope_scaling: { rope_type: 'llama3', ...LLAMA3, high_freq_factor: 1 } },
    'rope_scaling.high_freq_factor: found 1, wanted more than low_freq_factor',
  ],
  [
    { rope_scaling: { rope_type: 'llama3', ...LLAMA3, original_max_position_embeddings: null } },
    'rope_scaling.original_max_position_embeddings: found nothing, wanted a positive whole number',
  ],
  [
    { rope_scaling: { rope_type: 'llama3', ...LLAMA3, attention_factor: 1.1 } },
    'rope_scaling.attention_factor: found 1.1, wanted no such key with rope_type "llama3"',
  ],
  [{ rope_scaling: 'linear' }, 'rope_scaling: found "linear", wanted an object'],
  [{ rope_theta: 0 }, 'rope_theta: found 0, wanted a positive number'],
  [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor: found 0.5, wanted 1'],
  [
    { rope_parameters: { rope_theta: 1e6, partial_rotary_factor: 0.25 } },
    'rope_parameters.partial_rotary_factor: found 0.25, wanted 1',
  ],
  [{ rope_interleaved: true }, 'rope_interleaved: found true, wanted false'],
  // Biases and the activation.
  [{ attention_bias: true }, 'attention_bias: found true, wanted false'],
  [{ model_type: 'qwen3', attention_bias: true }, 'attention_bias: found true, wanted false'],
  [{ model_type: 'qwen2', attention_bias: false }, 'attention_bias: found false, wanted true'],
  [{ mlp_bias: true }, 'mlp_bias: found true, wanted false'],
  [{ hidden_act: 'gelu' }, 'hidden_act: found "gelu", wanted "silu"'],
  // Windows.
  [{ model_type: 'qwen2', use_sliding_window: true }, 'use_sliding_window: found true, wanted false'],
  [{ sliding_window: 64 }, 'sliding_window: found 64, wanted null: llama has no window'],
  [
    { model_type: 'qwen3', layer_types: ['full_attention', 'sliding_attention'] },
    'layer_types: found "sliding_attention", wanted "full_attention" in every layer',
  ],
  [
    { model_type: 'mistral', sliding_window: 8, layer_types: ['sliding_attention', 'full_attention'] },
    'layer_types: found "full_attention", wanted "sliding_attention" in every layer',
  ],
  // Other models under a known name.
  [{ num_local_experts: 8 }, 'num_local_experts: found 8, wanted null or no such key'],
  [{ num_experts_per_tok: 2 }, 'num_experts_per_tok: found 2, wanted null or no such key'],
  [{ final_logit_softcapping: 30 }, 'final_logit_softcapping: found 30, wanted null or no such key'],
  [
    { quantization_config: { quant_method: 'awq', bits: 4 } },
    'quantization_config: found {"quant_method":"awq","bits":4}, wanted null or no such key',
  ],
  [{ auto_map: { AutoModel: 'x.Y' } }, 'auto_map: found {"AutoModel":"x.Y"}, wanted null or no such key'],
  // Keys that nobody knows, but that speak of arithmetic.
  ...(
    [
      ['embedding_multiplier', 12],
      ['use_rope', false],
      ['no_rope_layers', [1]],
      ['attention_multiplier', 0.5],
      ['moe_intermediate_size', 64],
      ['quantization', { bits: 4 }],
      ['logits_scaling', 8],
      ['qk_scale', 2],
    ] as const
  ).map(([key, value]): [Record<string, unknown>, string] => [
    { [key]: value },
    `${key}: found ${JSON.stringify(value)}, wanted no such key: its name speaks of arithmetic that we do not know`,
  ]),
  // Shapes.
  [{ hidden_size: 30 }, 'hidden_size: found 30, wanted a multiple of num_attention_heads (4), or a head_dim'],
  [{ num_key_value_heads: 3 }, 'num_attention_heads: found 4, wanted a multiple of num_key_value_heads (3)'],
  [{ head_dim: 7 }, 'head_dim: found 7, wanted an even number, for rotary positions'],
  // Ends.
  [{ eos_token_id: [] }, 'eos_token_id: found [], wanted a token id or a list of them'],
  [{ eos_token_id: null }, 'eos_token_id: found null, wanted a token id or a list of them'],
])('refuses %j', (changes, message) => {
  expect(problems(changes)).toEqual([message]);
});

test('names every problem at once', () => {
  expect(problems({ attention_bias: true, rope_scaling: { type: 'yarn' }, num_experts: 4 })).toHaveLength(3);
});

test.each<[string, unknown]>([
  ['torch_dtype', 'bfloat16'],
  ['dtype', 'bfloat16'],
  ['attention_dropout', 0.1],
  ['_attn_implementation_autoset', true],
  ['initializer_range', 0.02],
  ['pretraining_tp', 1],
  ['transformers.js_config', { dtype: 'q4' }],
  ['unsloth_version', '2025.1'],
  ['some_note_of_the_author', 'hello'],
  // Off, so whatever it would be, it is not there.
  ['use_mrope', false],
  ['attn_logit_softcapping', null],
  ['mlp_only_layers', []],
])('the key %s changes nothing', (key, value) => {
  expect(parse({ [key]: value })).toEqual(parse({}));
});
