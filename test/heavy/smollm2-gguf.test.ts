/**
 * Reads a real GGUF file, and holds it against what gguf-py 0.19.0 reads from it. Without Python's
 * pip or without a network these tests are skipped.
 */
import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { asHuggingFace } from '#gpu-backend/gguf/as-hugging-face.ts';
import { type GgufSource, openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { BLOCK_FORMATS, slowDequantise } from '#gpu-backend/gguf/testing/slow-dequantise.ts';
import { ggufConfig } from '#gpu-backend/import/gguf-config.ts';
import { ggufTokenizer } from '#gpu-backend/import/gguf-tokenizer.ts';
import { DecoderConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { smolLm2Gguf } from '../smollm2-gguf.ts';

let found: Awaited<ReturnType<typeof smolLm2Gguf>>;
beforeAll(async () => {
  found = await smolLm2Gguf();
  if ('missing' in found) console.warn(`SKIPPED, the real GGUF file is not here: ${found.missing}`);
});

/** A test with the open file. */
const withModel = (name: string, body: (gguf: GgufSource) => Promise<void>) =>
  test(name, async ({ skip }) => {
    if ('missing' in found) return skip(found.missing);
    const gguf = await openGguf(found.file);
    try {
      await body(gguf);
    } finally {
      await gguf.close();
    }
  });

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

withModel('reads the metadata', async ({ metadata }) => {
  expect(metadata.size).toBe(33);
  expect(Object.fromEntries(metadata)).toMatchObject({
    'general.architecture': 'llama',
    'general.languages': ['en'],
    'llama.block_count': 30,
    'llama.attention.layer_norm_rms_epsilon': Math.fround(1e-5),
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.add_bos_token': false,
    'tokenizer.chat_template': expect.stringMatching(/^\{% for message in messages %\}/),
  });
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
  const merges = metadata.get('tokenizer.ggml.merges') as string[];
  expect([tokens.length, merges.length, tokens[1]]).toEqual([49_152, 48_900, '<|im_start|>']);
  expect(metadata.get('tokenizer.ggml.token_type')).toHaveLength(49_152);
  expect(sha256(tokens.join('\n'))).toBe('d1f2ce856b324081b621d9e2e8dbd22879f462329f3fd4aa39fa758dddb2ce55');
  expect(sha256(merges.join('\n'))).toBe('aea6ed50becdb3beed814d2fde2dea2e655d1039addf269d74a4708ce2ed4d63');
});

withModel('has the tensors and shapes of its architecture, under Hugging Face’s names', async (gguf) => {
  const config = DecoderConfig.parse(await ggufConfig(gguf, ggufTokenizer(gguf)));
  const source = asHuggingFace(gguf);
  const shapes = new Map(source.names().map((name) => [name, source.info(name).shape]));
  expect(shapes).toEqual(weightShapes(config));

  const types = new Map<string, number>();
  for (const name of source.names()) {
    const { dtype } = source.info(name);
    types.set(dtype, (types.get(dtype) ?? 0) + 1);
  }
  expect(Object.fromEntries(types)).toEqual({ F32: 61, Q4_1: 210, Q8_0: 1 });
});

withModel('dequantises all 134,515,008 weights to the same bits as gguf-py', async (gguf) => {
  const hash = createHash('sha256');
  let weights = 0;
  for (const name of gguf.names()) {
    const data = await gguf.read(name);
    weights += data.length;
    hash.update(new Uint8Array(data.buffer));
  }
  expect(weights).toBe(134_515_008);
  // The same from gguf-py: `gguf.quants.dequantize` of each tensor of a `GGUFReader`, as f32.
  expect(hash.digest('hex')).toBe('1034100613c22abd3cc047d99b02ed7a8d419bc245f4cf54a4736c5f699ba569');
});

withModel('dequantises blocks as the slow version does', async (gguf) => {
  for (const name of ['token_embd.weight', 'blk.0.attn_k.weight', 'blk.29.ffn_down.weight']) {
    const format = BLOCK_FORMATS[gguf.info(name).dtype]!;
    const bytes = await gguf.readBytes(name);
    const weights = await gguf.read(name);
    for (const block of [0, 1, 1000, bytes.length / format.bytes - 1]) {
      const slow = slowDequantise(format, bytes.subarray(block * format.bytes, (block + 1) * format.bytes));
      expect(weights.subarray(block * format.size, (block + 1) * format.size), `${name}, block ${block}`).toEqual(slow);
    }
  }
});
