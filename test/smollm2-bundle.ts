/**
 * SmolLM2-135M-Instruct as a bundle with f32 weights, from its GGUF file. Both experts are the base
 * itself.
 */
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { asHuggingFace } from '#gpu-backend/gguf/as-hugging-face.ts';
import { type GgufSource, openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { writeF32Gguf } from '#gpu-backend/gguf/testing/write-f32-gguf.ts';
import { NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import { fileExists } from '#gpu-backend/model/bundle-files.ts';
import { DecoderConfig } from '#gpu-backend/model/config.ts';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { NO_ROUTERS } from '#gpu-backend/model/router.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';

const CACHE = path.join(import.meta.dirname, '../.plimsoll/test-models');

/** What the GGUF file says about the tokenizer, as `tokenizer.json` and its neighbours say it. */
export function smolLm2Tokenizer({ metadata }: GgufSource) {
  // smollm2-gguf.test.ts checks what these keys hold.
  const field = <T>(key: string) => metadata.get(`tokenizer.${key}`) as T;
  const tokens = field<string[]>('ggml.tokens');
  const types = field<ArrayLike<number>>('ggml.token_type');
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const json = {
    added_tokens: tokens.flatMap((content, id) =>
      types[id] === 3 ? [{ id, content, lstrip: false, rstrip: false, normalized: false, special: true }] : [],
    ),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: field<string[]>('ggml.merges'),
    },
  };
  const config = { bos_token: '<|im_start|>', eos_token: '<|im_end|>' };
  return { json, config, template: field<string>('chat_template') };
}

export function smolLm2Config({ metadata }: GgufSource): DecoderConfig {
  const field = (key: string) => metadata.get(`llama.${key}`);
  return DecoderConfig.parse({
    model_type: 'llama',
    vocab_size: field('vocab_size'),
    hidden_size: field('embedding_length'),
    intermediate_size: field('feed_forward_length'),
    num_hidden_layers: field('block_count'),
    num_attention_heads: field('attention.head_count'),
    num_key_value_heads: field('attention.head_count_kv'),
    max_position_embeddings: field('context_length'),
    rms_norm_eps: field('attention.layer_norm_rms_epsilon'),
    rope_theta: field('rope.freq_base'),
    tie_word_embeddings: true,
    eos_token_id: metadata.get('tokenizer.ggml.eos_token_id'),
  });
}

/** Writes the bundle of `gguf`, a path, to the folder `dir`. */
export async function writeSmolLm2Bundle(gguf: string, dir: string): Promise<void> {
  const source = await openGguf(gguf);
  try {
    const config = smolLm2Config(source);
    const named = asHuggingFace(source);
    const weights = new Map<string, Tensor>();
    for (const name of named.names()) {
      weights.set(name, { shape: named.info(name).shape, data: await named.read(name) });
    }
    const { json, config: tokenizerConfig, template } = smolLm2Tokenizer(source);
    const parts = { config, tokenizer: json, tokenizerConfig, chatTemplate: template, weights, routers: NO_ROUTERS };
    const manifest = {
      id: 'smollm2-135m-instruct',
      default_weight: 0.5,
      licence: 'Apache-2.0',
      provenance: { description: 'SmolLM2-135M-Instruct, dequantised from Q4_1; no experts.', data: [] },
    };
    const experts = ExpertRole.options.map((role) => ({ name: role, role, ...NO_ADAPTER }));
    await writeBundle(dir, { ...parts, experts, manifest }, { dtype: 'f32' });
  } finally {
    await source.close();
  }
}

/** The same model as a GGUF file of f32 weights, for llama.cpp. It is made once and kept. */
export async function smolLm2F32Gguf(gguf: string): Promise<string> {
  const name = 'SmolLM2-135M-Instruct.f32.gguf';
  if (!(await fileExists(CACHE, name))) {
    await mkdir(CACHE, { recursive: true });
    const draft = path.join(CACHE, `${name}.${process.pid}`);
    try {
      await writeF32Gguf(gguf, draft);
      await rename(draft, path.join(CACHE, name));
    } finally {
      await rm(draft, { force: true });
    }
  }
  return path.join(CACHE, name);
}
