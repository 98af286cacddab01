/** Tiny random models in the real formats: folders as Transformers writes them, and GGUF files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  float,
  GgufBytes,
  type GgufMetadata,
  type GgufTensor,
  ggufBytes,
  texts,
} from '#gpu-backend/gguf/testing/make-gguf.ts';
import { BLOCK_FORMATS } from '#gpu-backend/gguf/testing/slow-dequantise.ts';
import { headDim, weightShapes } from '#gpu-backend/model/config.ts';
import { CHAT_TEMPLATE, SPECIAL_TOKENS, tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { ropeFrequencies } from '#gpu-backend/model/rope.ts';
import { elementCount, type Tensor } from '#gpu-backend/model/tensor.ts';
import { encodeSafetensors } from '#gpu-backend/model/testing/make-safetensors.ts';
import type { BundleParts } from '#gpu-backend/model/write-bundle.ts';

/** bf16 keeps eight bits, f16 eleven. So that no type rounds, the weights have six. */
export function tinyModel(config: Record<string, unknown> = {}): BundleParts {
  const parts = tinyBundle({ config });
  for (const { data } of parts.weights.values()) {
    for (const [i, value] of data.entries()) data[i] = Math.round(value * 32) / 32;
  }
  return parts;
}

export type FolderOptions = {
  dtype?: 'F32' | 'F16' | 'BF16';
  /** In how many files the weights are. */
  shards?: number;
  template?: 'file' | 'key' | 'list' | 'none';
  /** Keys of config.json, in the words of the model's family. */
  config?: Record<string, unknown>;
};

/** Writes a folder as Transformers does. */
export async function writeHuggingFaceFolder(
  dir: string,
  parts: BundleParts,
  { dtype = 'F32', shards = 1, template = 'file', config = {} }: FolderOptions = {},
): Promise<string> {
  await mkdir(dir, { recursive: true });
  const write = (file: string, value: unknown) => writeFile(join(dir, file), JSON.stringify(value));
  await write('config.json', { torch_dtype: 'bfloat16', ...parts.config, ...config });
  await write('tokenizer.json', parts.tokenizer);
  const named = [
    { name: 'tool_use', template: '{{ raise_exception("no") }}' },
    { name: 'default', template: CHAT_TEMPLATE },
  ];
  await write('tokenizer_config.json', {
    ...parts.tokenizerConfig,
    ...(template === 'key' && { chat_template: CHAT_TEMPLATE }),
    ...(template === 'list' && { chat_template: named }),
  });
  if (template === 'file') await writeFile(join(dir, 'chat_template.jinja'), CHAT_TEMPLATE);
  if (shards === 1) {
    await writeFile(join(dir, 'model.safetensors'), encodeSafetensors(parts.weights, dtype));
    return dir;
  }
  const weight_map: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`;
    const own = new Map([...parts.weights].filter((_, i) => i % shards === shard));
    await writeFile(join(dir, file), encodeSafetensors(own, dtype));
    for (const name of own.keys()) weight_map[name] = file;
  }
  await write('model.safetensors.index.json', { metadata: {}, weight_map });
  return dir;
}

const ints = (values: readonly number[]) => {
  const bytes = new GgufBytes().u32(5).u64(values.length);
  for (const value of values) bytes.u32(value);
  return { type: 9, bytes: bytes.build() };
};

/** What the metadata of a GGUF file say of the tiny tokenizer. */
function tokenizerMetadata(tokenizer: BundleParts['tokenizer']): [string, GgufMetadata[number][1]][] {
  // Every tiny tokenizer is the one of the fixture.
  const { model } = tokenizer as { model: { vocab: Record<string, number>; merges: string[] } };
  const tokens = Object.entries(model.vocab).sort(([, a], [, b]) => a - b);
  return [
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', 'gpt-2'],
    ['tokenizer.ggml.tokens', texts(tokens.map(([token]) => token))],
    ['tokenizer.ggml.token_type', ints(tokens.map(([, id]) => (id < SPECIAL_TOKENS.length ? 3 : 1)))],
    ['tokenizer.ggml.merges', texts(model.merges)],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.eos_token_id', 5],
    ['tokenizer.ggml.padding_token_id', 0],
    ['tokenizer.chat_template', CHAT_TEMPLATE],
  ];
}

const GGUF_NAMES: readonly (readonly [hugging: RegExp, gguf: string])[] = [
  [/^model\.layers\./, 'blk.'],
  [/^model\.embed_tokens\./, 'token_embd.'],
  [/^model\.norm\./, 'output_norm.'],
  [/^lm_head\./, 'output.'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/self_attn\.([qk])_norm/, 'attn_$1_norm'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/input_layernorm/, 'attn_norm'],
  [/post_attention_layernorm/, 'ffn_norm'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
];
const ggufName = (name: string) => GGUF_NAMES.reduce((text, [from, to]) => text.replace(from, to), name);

/** Puts the two halves of every head in turns, as llama.cpp's converter does. */
function permuted({ shape, data }: Tensor, heads: number): Tensor {
  const rows = shape[0]!;
  const width = data.length / rows;
  const half = rows / heads / 2;
  const out = new Float32Array(data.length);
  for (let head = 0; head < heads; head++) {
    for (let pair = 0; pair < half; pair++) {
      for (const side of [0, 1]) {
        const from = head * 2 * half + side * half + pair;
        const to = head * 2 * half + 2 * pair + side;
        out.set(data.subarray(from * width, (from + 1) * width), to * width);
      }
    }
  }
  return { shape, data: out };
}

const FLOAT_TYPES = { F32: 0, F16: 1, BF16: 30 } as const;

export type GgufOptions = {
  /** Of matrices; norms and biases are F32, as are rows that are no whole blocks. */
  type?: keyof typeof FLOAT_TYPES | keyof typeof BLOCK_FORMATS;
  /** More metadata, or other values; undefined takes a key away. */
  metadata?: Record<string, GgufMetadata[number][1] | undefined>;
};

/** The bytes of a GGUF file of the model. Quantised weights are random blocks instead. */
export function ggufModel(parts: BundleParts, { type = 'F32', metadata = {} }: GgufOptions = {}): Buffer {
  const { config } = parts;
  const architecture = config.model_type === 'mistral' ? 'llama' : config.model_type;
  const own = (entries: Record<string, GgufMetadata[number][1] | undefined>) =>
    Object.entries(entries).map(([key, value]) => [`${architecture}.${key}`, value] as const);
  const scaling = config.rope_scaling;
  const known = new Map<string, GgufMetadata[number][1] | undefined>([
    ['general.architecture', architecture],
    ['general.license', 'apache-2.0'],
    ...own({
      block_count: config.num_hidden_layers,
      context_length: config.max_position_embeddings,
      embedding_length: config.hidden_size,
      feed_forward_length: config.intermediate_size,
      'attention.head_count': config.num_attention_heads,
      'attention.head_count_kv': config.num_key_value_heads,
      'attention.key_length': headDim(config),
      'attention.value_length': headDim(config),
      'attention.layer_norm_rms_epsilon': float(config.rms_norm_eps),
      'attention.sliding_window': config.sliding_window ?? undefined,
      'rope.freq_base': float(config.rope_theta),
      'rope.dimension_count': headDim(config),
      'rope.scaling.type': scaling?.rope_type === 'linear' ? 'linear' : undefined,
      'rope.scaling.factor': scaling?.rope_type === 'linear' ? float(scaling.factor) : undefined,
      vocab_size: config.vocab_size,
    }),
    ...tokenizerMetadata(parts.tokenizer),
    ...Object.entries(metadata),
  ]);
  const tensors: GgufTensor[] = [...weightShapes(config).keys()].map((name) => {
    const tensor = parts.weights.get(name)!;
    const heads = /q_proj/.test(name) ? config.num_attention_heads : config.num_key_value_heads;
    const inOrder = architecture === 'llama' && /\.[qk]_proj/.test(name) ? permuted(tensor, heads) : tensor;
    return ggufTensor(ggufName(name), inOrder, type);
  });
  if (scaling?.rope_type === 'llama3') tensors.unshift(ropeFactors(config));
  return ggufBytes({
    metadata: [...known].filter((entry): entry is [string, GgufMetadata[number][1]] => entry[1] !== undefined),
    tensors,
  });
}

function ggufTensor(name: string, { shape, data }: Tensor, type: NonNullable<GgufOptions['type']>): GgufTensor {
  const format = BLOCK_FORMATS[type];
  if (shape.length === 2 && format !== undefined && shape[1]! % format.size === 0) {
    return {
      name,
      type: format.type,
      shape: [...shape],
      data: randomBlocks(format, elementCount(shape) / format.size),
    };
  }
  const float = shape.length === 2 && type in FLOAT_TYPES ? (type as keyof typeof FLOAT_TYPES) : 'F32';
  const file = encodeSafetensors(new Map([['x', { shape, data }]]), float);
  const bytes = { F32: 4, F16: 2, BF16: 2 }[float] * data.length;
  return { name, type: FLOAT_TYPES[float], shape: [...shape], data: file.subarray(file.length - bytes) };
}

/** Blocks with small scales: any bits are quants, but not any bits are a finite half. */
function randomBlocks({ bytes, halves }: (typeof BLOCK_FORMATS)[string], blocks: number): Uint8Array {
  const out = Buffer.alloc(blocks * bytes);
  let state = 12_345;
  for (let i = 0; i < out.length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    out[i] = state >>> 24;
  }
  for (let block = 0; block < blocks; block++) {
    // 2^-9 to 2^-8, positive or negative.
    for (const at of halves) out[block * bytes + at + 1] = (out[block * bytes + at + 1]! & 0x80) | 0x18 | (block & 3);
  }
  return out;
}

function ropeFactors(config: BundleParts['config']): GgufTensor {
  const plain = ropeFrequencies({ rope_theta: config.rope_theta }, headDim(config));
  const scaled = ropeFrequencies(config, headDim(config));
  const factors = Float32Array.from(plain, (frequency, i) => frequency / scaled[i]!);
  return { name: 'rope_freqs.weight', type: 0, shape: [factors.length], data: new Uint8Array(factors.buffer) };
}
