/**
 * What we write for llama.cpp, read back by our own importer, which others' files have tested.
 * test/heavy/llama-server.test.ts has llama.cpp itself read it.
 */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { ggufTokenizer } from '#gpu-backend/import/gguf-tokenizer.ts';
import { importBench } from '#gpu-backend/import/testing/import-tiny.ts';
import { tinyModel } from '#gpu-backend/import/testing/make-sources.ts';
import { writeRemoteBundle } from '#gpu-backend/import/write-remote-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '#gpu-backend/model/fixtures/tiny-families.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { type BundleParts, writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { exportGguf, type GgufExportOptions } from './export-gguf.ts';

const { place, folderOf, imported } = importBench('export-gguf');

async function written(parts: BundleParts, dtype: 'f32' | 'f16' = 'f32'): Promise<string> {
  const dir = place();
  await writeBundle(dir, parts, { dtype });
  return dir;
}

const exported = async (bundle: string, options: Partial<GgufExportOptions> = {}) =>
  exportGguf({ bundle, out: place(), ...options });

const windowed = (name: string) => name.includes('a window of');

describe.each(TINY_FAMILY_NAMES.filter((name) => !windowed(name)))('%s', (family) => {
  test.each([
    ['f32', 'f16'],
    ['f16', undefined],
  ] as const)('of a bundle in %s, written as %s, the importer reads the same model', async (dtype, weights) => {
    const own = tinyModel(TINY_FAMILIES[family]);
    // Llama 3.1's scaling is in the file as divisors, and the importer knows those that Meta uses.
    const { rope_scaling: scaling } = own.config;
    if (scaling?.rope_type === 'llama3') {
      scaling.original_max_position_embeddings = 8192;
      own.config.rope_theta = 500_000;
    }
    const bundle = await loadBundle(await written(own, dtype));
    const { base } = await exported(await written(own, dtype), { weights });
    const back = await loadBundle(await imported(base));
    // llama.cpp has one architecture for both, and only Llama has these keys.
    const config = ({ model_type, attention_bias, mlp_bias, ...rest }: BundleParts['config']) => ({
      ...rest,
      head_dim: rest.head_dim ?? rest.hidden_size / rest.num_attention_heads,
      sliding_window: rest.sliding_window ?? null,
      eos_token_id: [rest.eos_token_id].flat(),
      model_type: model_type === 'mistral' ? 'llama' : model_type,
      attention_bias: attention_bias ?? false,
      mlp_bias: mlp_bias ?? false,
    });
    expect(config(back.config)).toEqual(config(bundle.config));
    expect([...back.weights.keys()].sort()).toEqual([...bundle.weights.keys()].sort());
    for (const [name, tensor] of bundle.weights) expect(back.weights.get(name), name).toEqual(tensor);
    const text = "It's 12 o'clock: a é\n€ 😀\t ok.  The end";
    expect(back.tokenizer.encode(text)).toEqual(bundle.tokenizer.encode(text));
    const question = [{ role: 'user' as const, content: text }];
    expect([...back.renderChat(question)]).toEqual([...bundle.renderChat(question)]);
  });
});

test('rows without a token are unused, and special tokens are control tokens', async () => {
  const { base } = await exported(await written(tinyModel()));
  const gguf = await openGguf(base);
  const tokens = gguf.metadata.get('tokenizer.ggml.tokens') as string[];
  const types = gguf.metadata.get('tokenizer.ggml.token_type') as number[];
  await gguf.close();
  expect(tokens.slice(-5)).toEqual(['[PAD267]', '[PAD268]', '[PAD269]', '[PAD270]', '[PAD271]']);
  expect(types.slice(-6)).toEqual([1, 5, 5, 5, 5, 5]);
  expect(types.slice(0, 7)).toEqual([3, 3, 3, 3, 3, 3, 1]);
});

/** What B A adds to a weight, times what llama.cpp scales it by. */
async function added(file: string, name: string): Promise<number[]> {
  const gguf = await openGguf(file);
  const [a, b] = [await gguf.read(`${name}.lora_a`), await gguf.read(`${name}.lora_b`)];
  const [rank, inputs] = gguf.info(`${name}.lora_a`).shape as [number, number];
  const alpha = gguf.metadata.get('adapter.lora.alpha') as number;
  await gguf.close();
  return product(a, b, { rank, inputs, scale: alpha / rank });
}

function product(a: Float32Array, b: Float32Array, size: { rank: number; inputs: number; scale: number }): number[] {
  const { rank, inputs, scale } = size;
  return Array.from({ length: (b.length / rank) * inputs }, (_, at) => {
    const [row, column] = [Math.floor(at / inputs), at % inputs];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += b[row * rank + r]! * a[r * inputs + column]!;
    return scale * sum;
  });
}

test('modules of other ranks and scales each keep what they add', async () => {
  const parts = tinyModel();
  for (const [i, [, module]] of [...parts.experts[0]!.modules].entries()) module.scale = 0.5 + i / 3;
  const { adapters } = await exported(await written(parts));
  const { experts } = await loadBundle(await written(parts));
  const modules = [...experts[0]!.modules];
  expect(modules).toHaveLength(2);
  for (const [layer, [, { a, b, scale }]] of modules.entries()) {
    const found = await added(adapters.safety!, `blk.${layer}.ffn_down.weight`);
    const [rank, inputs] = a.shape as [number, number];
    const wanted = product(a.data, b.data, { rank, inputs, scale });
    for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 5);
  }
});

test('the rows of q and k are permuted in an adapter as in the base', async () => {
  const parts = tinyModel();
  const whole = await loadBundle(await written(parts));
  const name = 'model.layers.1.self_attn.k_proj';
  const { data } = whole.weights.get(`${name}.weight`)!;
  // B is the base's own matrix and A the identity: what is added must lie where the base does.
  const [rows, width] = [16, 32];
  const identity = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0));
  for (const expert of parts.experts) {
    expert.rank = width;
    expert.alpha = width;
    const [a, b] = [
      { shape: [width, width], data: identity },
      { shape: [rows, width], data },
    ];
    expert.modules = new Map([[name, { a, b, scale: 1 }]]);
  }
  const { base, adapters } = await exported(await written(parts));
  const gguf = await openGguf(base);
  const wanted = await gguf.read('blk.1.attn_k.weight');
  await gguf.close();
  expect(await added(adapters.helpfulness!, 'blk.1.attn_k.weight')).toEqual(Array.from(wanted, (value) => value + 0));
  expect([...wanted]).not.toEqual([...data]);
});

test('an expert that is the base alone has no file', async () => {
  const out = place();
  const written = await exportGguf({ bundle: await imported(await folderOf(tinyModel())), out });
  expect(written.adapters).toEqual({ safety: null, helpfulness: null });
  expect(await readdir(out)).toEqual(['base.gguf']);
});

/** SentencePiece's BPE: bytes, letters, and pieces with a score. */
function sentencePiece(): BundleParts['tokenizer'] {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const special = ['<unk>', '<s>', '</s>', '<|system|>', '<|user|>', '<|end|>', '<|assistant|>', '<|bos|>'];
  const pieces = ['▁', 't', 'h', 'e', '▁t', 'he', '▁the'];
  const vocab = Object.fromEntries([...special, ...bytes, ...pieces].map((token, id) => [token, id]));
  const added = special.map((content, id) => ({ id, content, special: true, single_word: false }));
  return {
    version: '1.0',
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      merges: ['h e', '▁t he', '▁ t'],
    },
  };
}

test('SentencePiece’s merges become scores that mean the same', async () => {
  const parts = { ...tinyModel(), tokenizer: sentencePiece() };
  const { base } = await exported(await written(parts));
  const gguf = await openGguf(base);
  const { json } = ggufTokenizer(gguf);
  await gguf.close();
  // The cast: a tokenizer of this kind has these fields, and a missing one fails the test.
  const { model, normalizer } = sentencePiece() as unknown as { model: { merges: string[] }; normalizer: unknown };
  expect(json).toMatchObject({ normalizer, model: { merges: model.merges, byte_fallback: true, unk_token: '<unk>' } });
});

type Change = (parts: BundleParts) => void;
const tokenizerOf = (parts: BundleParts) =>
  parts.tokenizer as { pre_tokenizer: { add_prefix_space: boolean }; model: { merges: string[] } };
test.each<[string, Change, RegExp]>([
  [
    'a window',
    (parts) => Object.assign(parts, tinyModel(TINY_FAMILIES['Mistral, a window of 7 tokens'])),
    /config\.json: sliding_window: found 7, wanted none/,
  ],
  [
    'a cut that llama.cpp has no name for',
    (parts) => {
      tokenizerOf(parts).pre_tokenizer.add_prefix_space = true;
    },
    /tokenizer\.json: pre_tokenizer, normalizer and ignore_merges: found a cut that llama\.cpp has no name for/,
  ],
  [
    'merges that no scores can say',
    (parts) => {
      parts.tokenizer = sentencePiece();
      // As a score, "h e" would also join what no merge of this list joins.
      tokenizerOf(parts).model.merges = ['h e', '▁t he'];
    },
    /tokenizer\.json: merges: found undefined at 2, wanted ▁ t/,
  ],
])('refuses %s, and leaves no file', async (_, change, message) => {
  const parts = tinyModel();
  change(parts);
  const out = place();
  await expect(exportGguf({ bundle: await written(parts), out })).rejects.toThrow(message);
  expect(await readdir(out).catch(() => [])).toEqual([]);
});

test('refuses weights that are quantised, that are not here, and a folder in use', async () => {
  const parts = tinyModel();
  const bundle = await written(parts);
  const small = await imported(await folderOf(parts), { weights: 'int8' });
  await expect(exported(small)).rejects.toThrow(/weights: found int8, wanted floats/);
  const remote = place();
  const expert = { adapter: true };
  await writeRemoteBundle({
    ...{ source: bundle, out: remote, id: 'm', topK: 5, licence: 'MIT' },
    experts: { safety: expert, helpfulness: expert },
  });
  await expect(exported(remote)).rejects.toThrow(/remote: found one, wanted weights/);
  await writeFile(join(remote, 'mine.txt'), 'keep');
  await expect(exported(bundle, { out: remote })).rejects.toThrow(/found a folder that is not empty/);
});

test('a number that does not fit f16 is refused, and what was begun is gone', async () => {
  const parts = tinyModel();
  parts.weights.get('model.layers.1.mlp.up_proj.weight')!.data[3] = 70_000;
  const out = place();
  await expect(exportGguf({ bundle: await written(parts), out, weights: 'f16' })).rejects.toThrow(
    /up_proj\.weight: 70000 does not fit f16/,
  );
  expect(await readdir(out)).toEqual([]);
});
