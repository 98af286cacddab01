/**
 * `config.json` from the metadata of a GGUF file. Its keys that begin with the architecture's name,
 * such as `llama.rope.freq_base`, describe the decoder. As with config.json, each is read, known to
 * be harmless, or refused: a key that we skip could change the arithmetic.
 */
import type { GgufSource } from '#gpu-backend/gguf/open-gguf.ts';
import { type RopeScaling, ropeFrequencies } from '#gpu-backend/model/rope.ts';
import { GgufMetadata } from './gguf-metadata.ts';

/** Keys that change nothing. `vocab_size` counts the rows of the embedding, which we see. */
const HARMLESS = new Set(['vocab_size', 'tensor_data_layout', 'rope.scaling.finetuned']);

/** Keys that must have this value if they are there. */
const FIXED: Readonly<Record<string, number | boolean>> = {
  expert_count: 0,
  expert_used_count: 0,
  use_parallel_residual: false,
  'attention.causal': true,
};

/** llama.cpp keeps Llama 3.1's scaling as a divisor for each frequency, in this tensor. */
export const ROPE_FACTORS = 'rope_freqs.weight';

/** @param eosIds the tokens that end an answer */
export async function ggufConfig(
  gguf: GgufSource,
  { eosIds }: { eosIds: readonly number[] },
): Promise<Record<string, unknown>> {
  const metadata = new GgufMetadata(gguf);
  const architecture = metadata.needed('general.architecture', metadata.text('general.architecture'));
  const read = new Set<string>();
  const number = (name: string) => {
    read.add(name);
    return metadata.number(`${architecture}.${name}`);
  };
  const needed = (name: string) => metadata.needed(`${architecture}.${name}`, number(name));

  const heads = needed('attention.head_count');
  const d = needed('embedding_length');
  const headDim = number('attention.key_length') ?? d / heads;
  for (const name of ['attention.value_length', 'rope.dimension_count']) {
    const size = number(name);
    if (size !== undefined && size !== headDim) metadata.refuse(`${architecture}.${name}`, `${headDim}, a whole head`);
  }
  const window = number('attention.sliding_window') || undefined;
  const theta = number('rope.freq_base') ?? 10_000;
  const scaling = scalingOf(metadata, architecture, read) ?? (await factorsOf(gguf, { theta, headDim }));
  const bos = metadata.number('tokenizer.ggml.bos_token_id');
  const pad = metadata.number('tokenizer.ggml.padding_token_id');
  const config = {
    // llama.cpp has one architecture for both.
    model_type: architecture === 'llama' && window !== undefined ? 'mistral' : architecture,
    vocab_size: embeddingRows(gguf, metadata),
    hidden_size: d,
    intermediate_size: needed('feed_forward_length'),
    num_hidden_layers: needed('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: number('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    max_position_embeddings: needed('context_length'),
    rms_norm_eps: shortest(needed('attention.layer_norm_rms_epsilon')),
    rope_theta: theta,
    ...(scaling !== undefined && { rope_scaling: scaling }),
    tie_word_embeddings: !gguf.names().includes('output.weight'),
    hidden_act: 'silu',
    ...(window !== undefined && { sliding_window: window }),
    bos_token_id: bos ?? null,
    eos_token_id: eosIds.length === 1 ? eosIds[0] : eosIds,
    pad_token_id: pad ?? null,
  };
  refuseOthers(metadata, architecture, read);
  return config;
}

function embeddingRows(gguf: GgufSource, metadata: GgufMetadata): number {
  const [rows] = gguf.names().includes('token_embd.weight') ? gguf.info('token_embd.weight').shape : [];
  return rows ?? metadata.refuse('tensor token_embd.weight', 'an embedding [V, d]', 'none');
}

function scalingOf(metadata: GgufMetadata, architecture: string, read: Set<string>): RopeScaling | undefined {
  const key = (name: string) => {
    read.add(name);
    return `${architecture}.${name}`;
  };
  const type = metadata.text(key('rope.scaling.type')) ?? 'none';
  const factor = metadata.number(key('rope.scaling.factor')) ?? metadata.number(key('rope.scale_linear'));
  metadata.number(key('rope.scaling.original_context_length'));
  if (type === 'none') return undefined;
  if (type !== 'linear') metadata.refuse(key('rope.scaling.type'), '"none" or "linear"');
  return { rope_type: 'linear', factor: metadata.needed(key('rope.scaling.factor'), factor) };
}

/**
 * Llama 3.1's and 3.2's scaling. The file has no more of it than the divisors, so we try the
 * parameters that Meta has published, and refuse divisors that come from others.
 */
async function factorsOf(
  gguf: GgufSource,
  { theta, headDim }: { theta: number; headDim: number },
): Promise<RopeScaling | undefined> {
  if (!gguf.names().includes(ROPE_FACTORS)) return undefined;
  const found = await gguf.read(ROPE_FACTORS);
  const scaling: RopeScaling = {
    rope_type: 'llama3',
    factor: found.reduce((most, value) => Math.max(most, value), 0),
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const scaled = ropeFrequencies({ rope_theta: theta, rope_scaling: scaling }, headDim);
  const wanted = ropeFrequencies({ rope_theta: theta }, headDim).map((plain, i) => plain / scaled[i]!);
  // The divisors are f32.
  const equal = (value: number, i: number) => Math.abs(found[i]! / value - 1) < 1e-5;
  if (found.length === wanted.length && wanted.every(equal)) return scaling;
  const [key, what] = [`tensor ${ROPE_FACTORS}`, `${found.length} divisors, up to ${scaling.factor}`];
  return new GgufMetadata(gguf).refuse(key, 'those of Llama 3.1 and 3.2 for this head', what);
}

function refuseOthers(metadata: GgufMetadata, architecture: string, read: ReadonlySet<string>): void {
  for (const key of metadata.keys()) {
    const name = key.startsWith(`${architecture}.`) ? key.slice(architecture.length + 1) : undefined;
    if (name === undefined || read.has(name) || HARMLESS.has(name)) continue;
    const fixed = Object.hasOwn(FIXED, name) ? FIXED[name] : undefined;
    if (fixed === undefined) metadata.refuse(key, 'only keys whose effect is known');
    const value = typeof fixed === 'boolean' ? metadata.boolean(key) : metadata.number(key);
    if (value !== fixed) metadata.refuse(key, String(fixed));
  }
}

/** The shortest decimal that is this number in f32: 1e-5 is not 0.000009999999747378752. */
function shortest(single: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(single.toPrecision(digits));
    if (Math.fround(decimal) === single) return decimal;
  }
  return single;
}
