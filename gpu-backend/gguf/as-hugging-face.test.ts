import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { DecoderConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { asHuggingFace, huggingFaceName } from './as-hugging-face.ts';
import { openGguf } from './open-gguf.ts';
import { type GgufMetadata, type GgufParts, type GgufTensor, ggufBytes } from './testing/make-gguf.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'as-hugging-face-'));
});
afterAll(() => rm(dir, { recursive: true }));

let files = 0;
async function opened(parts: GgufParts) {
  const path = join(dir, `${files++}.gguf`);
  await writeFile(path, ggufBytes(parts));
  return openGguf(path, 'm.gguf');
}

const numbers = (name: string, shape: number[]): GgufTensor => {
  const data = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => i);
  return { name, type: 0, shape, data: new Uint8Array(data.buffer) };
};

test('names a whole Llama as Hugging Face does', () => {
  const config = DecoderConfig.parse({
    model_type: 'llama',
    ...{ vocab_size: 8, hidden_size: 4, intermediate_size: 6, num_hidden_layers: 11, max_position_embeddings: 8 },
    ...{ num_attention_heads: 1, num_key_value_heads: 1, rms_norm_eps: 1e-5, eos_token_id: 0 },
  });
  const parts = [
    'attn_norm',
    'attn_q',
    'attn_k',
    'attn_v',
    'attn_output',
    'ffn_norm',
    'ffn_gate',
    'ffn_up',
    'ffn_down',
  ];
  const layers = Array.from({ length: 11 }, (_, layer) => parts.map((part) => `blk.${layer}.${part}.weight`)).flat();
  const names = ['token_embd.weight', ...layers, 'output_norm.weight', 'output.weight'];
  expect(names.map(huggingFaceName)).toEqual([...weightShapes(config).keys()]);
});

test.each([
  ['blk.3.attn_q.bias', 'model.layers.3.self_attn.q_proj.bias'],
  ['blk.3.attn_k_norm.weight', 'model.layers.3.self_attn.k_norm.weight'],
  ['rope_freqs.weight', undefined],
  ['blk.03.attn_q.weight', undefined],
  ['blk.x.attn_q.weight', undefined],
  ['attn_q.weight', undefined],
  ['blk.0.token_embd.weight', undefined],
  ['blk.0.toString.weight', undefined],
  ['constructor.weight', undefined],
  ['token_embd.weight.more', undefined],
  ['blk.0.ffn_gate_exps.weight', undefined],
])('%s is %s', (name, renamed) => {
  expect(huggingFaceName(name)).toBe(renamed);
});

const HEADS = { query: 2, keyValue: 1 };
const metadata = (architecture: string): GgufMetadata => [
  ['general.architecture', architecture],
  [`${architecture}.attention.head_count`, HEADS.query],
  [`${architecture}.attention.head_count_kv`, HEADS.keyValue],
];
const attention = [
  numbers('blk.0.attn_q.weight', [8, 1]),
  numbers('blk.0.attn_q.bias', [8]),
  numbers('blk.0.attn_k.weight', [4, 2]),
  numbers('blk.0.attn_v.weight', [4, 1]),
];

test('undoes the permutation of q and k in a Llama, for numbers and for bytes', async () => {
  const source = asHuggingFace(await opened({ metadata: metadata('llama'), tensors: attention }));
  const wanted = {
    'model.layers.0.self_attn.q_proj.weight': [0, 2, 1, 3, 4, 6, 5, 7],
    'model.layers.0.self_attn.q_proj.bias': [0, 2, 1, 3, 4, 6, 5, 7],
    'model.layers.0.self_attn.k_proj.weight': [0, 1, 4, 5, 2, 3, 6, 7],
    'model.layers.0.self_attn.v_proj.weight': [0, 1, 2, 3],
  };
  expect(source.names()).toEqual(Object.keys(wanted));
  for (const [name, values] of Object.entries(wanted)) {
    expect([...(await source.read(name))], name).toEqual(values);
    expect([...new Float32Array((await source.readBytes(name)).buffer)], name).toEqual(values);
  }
  expect(source.info('model.layers.0.self_attn.k_proj.weight')).toEqual({ dtype: 'F32', shape: [4, 2], bytes: 32 });
  await source.close();
});

test('leaves the rows of a Qwen as they are', async () => {
  const source = asHuggingFace(await opened({ metadata: metadata('qwen2'), tensors: attention }));
  expect([...(await source.read('model.layers.0.self_attn.q_proj.weight'))]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  await source.close();
});

test.each<[what: string, parts: GgufParts, fault: object]>([
  [
    'an architecture that it does not know',
    { metadata: metadata('gemma3') },
    { key: 'general.architecture', found: 'gemma3' },
  ],
  ['an architecture named like a method', { metadata: metadata('toString') }, { key: 'general.architecture' }],
  ['a file without architecture', {}, { key: 'general.architecture', found: 'undefined' }],
  ['a Llama without heads', { metadata: metadata('llama').slice(0, 1) }, { key: 'llama.attention.head_count' }],
  [
    'heads that are no number',
    { metadata: [...metadata('llama').slice(0, 2), ['llama.attention.head_count_kv', 'one']] },
    { key: 'llama.attention.head_count_kv', found: 'one' },
  ],
  [
    'rows that do not divide into heads',
    { metadata: metadata('llama'), tensors: [numbers('blk.0.attn_q.weight', [6, 1])] },
    { key: 'tensor blk.0.attn_q.weight', found: '6 rows', wanted: 'an even number for each of 2 heads' },
  ],
  [
    'a tensor without counterpart',
    { metadata: metadata('llama'), tensors: [numbers('rope_freqs.weight', [2])] },
    { key: 'tensor rope_freqs.weight' },
  ],
])('refuses %s', async (_what, parts, fault) => {
  const gguf = await opened(parts);
  expect(() => asHuggingFace(gguf)).toThrow(CheckpointError);
  expect(() => asHuggingFace(gguf)).toThrow(expect.objectContaining({ file: 'm.gguf', ...fault }));
  await gguf.close();
});

test('refuses a name of llama.cpp, and reads nothing once it is closed', async () => {
  const source = asHuggingFace(await opened({ metadata: metadata('llama'), tensors: attention }));
  expect(() => source.info('blk.0.attn_q.weight')).toThrow(/found no tensor of this name/);
  await source.close();
  await expect(source.read('model.layers.0.self_attn.v_proj.weight')).rejects.toThrow(/found a closed file/);
});
