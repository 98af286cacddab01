/** Models of every family, imported from real file formats and served, against the slow decoder. */
import { describe, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { huggingFaceName } from '#gpu-backend/gguf/as-hugging-face.ts';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { BLOCK_FORMATS, slowDequantise } from '#gpu-backend/gguf/testing/slow-dequantise.ts';
import { unpermuteRows } from '#gpu-backend/gguf/unpermute-rows.ts';
import { headDim } from '#gpu-backend/model/config.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '#gpu-backend/model/fixtures/tiny-families.ts';
import { type Bundle, loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import { dequantise, isQuantisable, quantise } from '#gpu-backend/model/quantise.ts';
import { slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import type { BundleParts } from '#gpu-backend/model/write-bundle.ts';
import { importBench } from './testing/import-tiny.ts';
import { type FolderOptions, tinyModel } from './testing/make-sources.ts';

const { folderOf, ggufOf, adaptersFor, imported } = importBench('import-families');

const ids = Array.from({ length: 12 }, (_, i) => 10 + ((i * 37) % 200));

/** The largest difference between the served logits and the slow decoder's on these weights. */
async function logitsError(dir: string, parts: Pick<BundleParts, 'config' | 'weights'>): Promise<number> {
  const bundle = await loadBundle(dir);
  // As a backend serves it.
  const experts = await OnnxExperts.create(await openBundle(dir), { threads: 1 });
  try {
    const [output] = await Promise.all(experts.append([{ sequence: experts.open('safety'), ids }]));
    const { logits } = output!.row as { logits: Float32Array };
    const source = { ...bundle, config: parts.config, weights: parts.weights };
    const wanted = slowDecoder(source, ids, () => ({ safety: 1, helpfulness: 0 })).logits;
    expect(logits).toHaveLength(wanted.length);
    return logits.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
  } finally {
    await experts.dispose();
  }
}
/** As in families.integration.test.ts: both compute the same sums, the engine in float32. */
const TOLERANCE = 1e-4;

describe.each(TINY_FAMILY_NAMES)('%s', (family) => {
  test.each<[string, FolderOptions]>([
    ['one file of F32', {}],
    ['three files of BF16', { dtype: 'BF16', shards: 3 }],
    ['one file of F16', { dtype: 'F16' }],
  ])('is served from a folder, %s, with the logits of its own numbers', async (_, options) => {
    const parts = tinyModel(TINY_FAMILIES[family]);
    const out = await imported(await folderOf(parts, options), { experts: await adaptersFor(parts) });
    expect(await logitsError(out, parts)).toBeLessThan(TOLERANCE);
  });
});

/**
 * `fast` rounds the inputs of products to 8 bits. As in stored-weights.integration.test.ts: a wrong
 * graph is off by more than 1.
 */
const FAST = 0.4;

/** The root mean square of the logits. */
function logitsSize(bundle: Bundle): number {
  const { logits } = slowDecoder(bundle, ids, () => ({ safety: 1, helpfulness: 0 }));
  return Math.sqrt(logits.reduce((sum, x) => sum + x * x, 0) / logits.length);
}

describe.each(['int8', 'int4'] as const)('weights in %s', (weights) => {
  test.each(TINY_FAMILY_NAMES)('%s is served with the logits of its quantised numbers', async (family) => {
    const parts = tinyModel(TINY_FAMILIES[family]);
    const source = await folderOf(parts, { dtype: 'BF16', shards: 2 });
    const experts = await adaptersFor(parts);
    for (const arithmetic of ['exact', 'fast'] as const) {
      const out = await imported(source, { experts, weights, arithmetic });
      const bundle = await loadBundle(out);
      expect(bundle.manifest.weights).toEqual({ type: weights, block: 32, arithmetic });
      for (const [name, { shape, data }] of parts.weights) {
        const type = name === 'model.embed_tokens.weight' || name === 'lm_head.weight' ? 'int8' : weights;
        const wanted = isQuantisable(shape) ? dequantise(quantise(data, type)) : data;
        expect(bundle.weights.get(name), name).toEqual({ shape, data: wanted });
      }
      expect(await logitsError(out, bundle)).toBeLessThan(arithmetic === 'exact' ? TOLERANCE : FAST);
    }
  });
});

test.each([
  ['int4', 'Q4_0'],
  ['int4', 'Q4_1'],
  ['int4', 'Q4_K'],
  ['int8', 'Q4_1'],
  ['int8', 'Q5_0'],
  ['int8', 'Q5_1'],
  ['int8', 'Q5_K'],
  ['int8', 'Q8_0'],
] as const)('%s keeps every weight of a GGUF file of %s, and is served', async (weights, type) => {
  const parts = tinyModel({ hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1 });
  const source = await ggufOf(parts, { type });
  const [whole, out] = [await loadBundle(await imported(source)), await imported(source, { weights })];
  const quantised = await loadBundle(out);
  for (const [name, { data }] of whole.weights) {
    const found = quantised.weights.get(name)!.data;
    // 0 may be -0.
    expect(found.length === data.length && found.every((weight, i) => weight === data[i]), name).toBe(true);
  }
  // Sums of 256 products instead of 32.
  expect(await logitsError(out, whole)).toBeLessThan(10 * TOLERANCE);
  const fast = await imported(source, { weights, arithmetic: 'fast' });
  // Found: at most 0.09. Quants that do not fill their type's range gave 0.08 to 0.41.
  expect((await logitsError(fast, whole)) / logitsSize(whole)).toBeLessThan(0.12);
});

/** llama.cpp has no file for Llama with another factor or context than Meta's. */
const META = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
const GGUF_FAMILIES = {
  ...TINY_FAMILIES,
  'Llama 3.1, rope_scaling': { rope_theta: 500_000, rope_scaling: { rope_type: 'llama3', factor: 8, ...META } },
  'Llama 3.2, rope_parameters of Transformers 5': {
    rope_theta: 500_000,
    rope_scaling: { rope_type: 'llama3', factor: 32, ...META },
  },
};

test.each(TINY_FAMILY_NAMES)('%s is served from a GGUF file, with the logits of its own numbers', async (family) => {
  const parts = tinyModel(GGUF_FAMILIES[family]);
  const source = await ggufOf(parts, { type: 'F16' });
  const out = await imported(source, { experts: await adaptersFor(parts) });
  expect(await logitsError(out, parts)).toBeLessThan(TOLERANCE);
  const { config } = await loadBundle(out);
  // In a GGUF file a Mistral without a window is a Llama. The head's size is always said.
  const isLlama = parts.config.model_type === 'mistral' && parts.config.sliding_window === null;
  const { sliding_window, ...llama } = { ...parts.config, model_type: 'llama', attention_bias: false, mlp_bias: false };
  expect(config).toEqual({ ...(isLlama ? llama : parts.config), head_dim: headDim(parts.config) });
});

/**
 * The largest size of a super-block is 256 weights, and so is every row of this model. The weights
 * are random blocks, so the oracle reads them from the file, weight by weight.
 */
const WIDE = { hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1 };
test.each(Object.keys(BLOCK_FORMATS))(
  'a GGUF file of %s is served with the logits of its own numbers',
  async (type) => {
    const parts = tinyModel(WIDE);
    const source = await ggufOf(parts, { type });
    const gguf = await openGguf(source);
    for (const name of gguf.names()) {
      const { dtype } = gguf.info(name);
      if (dtype === 'F32') continue;
      expect(dtype).toBe(type);
      const format = BLOCK_FORMATS[type]!;
      const bytes = await gguf.readBytes(name);
      const blocks = Array.from({ length: bytes.length / format.bytes }, (_, i) =>
        slowDequantise(format, bytes.subarray(i * format.bytes, (i + 1) * format.bytes)),
      );
      const tensor = parts.weights.get(huggingFaceName(name)!)!;
      const data = Float32Array.from(blocks.flatMap((block) => [...block]));
      const heads = /attn_q/.test(name) ? 4 : 2;
      tensor.data.set(/attn_[qk]\./.test(name) ? unpermuteRows(data, { rows: tensor.shape[0]!, heads }) : data);
    }
    await gguf.close();
    const out = await imported(source, { experts: await adaptersFor(parts) });
    // Sums of 256 products instead of 32.
    expect(await logitsError(out, parts)).toBeLessThan(10 * TOLERANCE);
  },
);

test('a model without adapters is served as it is: both experts are the base', async () => {
  const parts = tinyModel();
  expect(await logitsError(await imported(await folderOf(parts)), parts)).toBeLessThan(TOLERANCE);
});
