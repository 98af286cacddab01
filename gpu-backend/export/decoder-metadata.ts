/**
 * What a GGUF file says of the decoder: the keys that llama.cpp reads, out of our config. The
 * counterpart of ../import/gguf-config.ts, which reads them.
 */
import { float32, text, uint32, type WrittenValue } from '#gpu-backend/gguf/written-value.ts';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { type DecoderConfig, headDim, slidingWindow } from '#gpu-backend/model/config.ts';

/** llama.cpp's `general.architecture`. Its Llama is Mistral too. */
export function ggufArchitecture(config: DecoderConfig): 'llama' | 'qwen2' | 'qwen3' {
  const { model_type: family } = config;
  const window = slidingWindow(config);
  if (window !== null) {
    // llama.cpp's own Llama does not read `attention.sliding_window`: it would look back farther.
    const problem = `sliding_window: found ${window}, wanted none: llama.cpp's ${family} sees the whole context`;
    throw new BundleError(BUNDLE_FILES.config, problem);
  }
  return family === 'mistral' ? 'llama' : family;
}

/** Throws a BundleError if llama.cpp would compute something else. */
export function decoderMetadata(config: DecoderConfig): Map<string, WrittenValue> {
  const architecture = ggufArchitecture(config);
  const { rope_scaling: scaling } = config;
  const hd = headDim(config);
  const own: Record<string, WrittenValue> = {
    vocab_size: uint32(config.vocab_size),
    context_length: uint32(config.max_position_embeddings),
    embedding_length: uint32(config.hidden_size),
    block_count: uint32(config.num_hidden_layers),
    feed_forward_length: uint32(config.intermediate_size),
    'attention.head_count': uint32(config.num_attention_heads),
    'attention.head_count_kv': uint32(config.num_key_value_heads),
    'attention.key_length': uint32(hd),
    'attention.value_length': uint32(hd),
    'attention.layer_norm_rms_epsilon': float32(config.rms_norm_eps),
    'rope.dimension_count': uint32(hd),
    'rope.freq_base': float32(config.rope_theta),
    // Llama 3.1's scaling is a tensor of divisors instead: see base-tensors.ts.
    ...(scaling?.rope_type === 'linear' && {
      'rope.scaling.type': text('linear'),
      'rope.scaling.factor': float32(scaling.factor),
    }),
  };
  return new Map<string, WrittenValue>([
    ['general.architecture', text(architecture)],
    ...Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value] as const),
  ]);
}
