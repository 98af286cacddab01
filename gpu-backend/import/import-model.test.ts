import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { float, texts } from '#gpu-backend/gguf/testing/make-gguf.ts';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { CHAT_TEMPLATE, tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import { encodeSafetensors } from '#gpu-backend/model/testing/make-safetensors.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { importModel } from './import-model.ts';
import { SAFETY_PROMPT_FILE } from './safety-prompt.ts';
import { importBench } from './testing/import-tiny.ts';
import { type FolderOptions, tinyModel } from './testing/make-sources.ts';

const { place, folderOf, ggufOf, adaptersFor, imported } = importBench('import-model');
const base = { safety: {}, helpfulness: {} };

async function typesOf(dir: string): Promise<Record<string, number>> {
  const tensors = await openSafetensors(join(dir, 'model.safetensors'));
  const found: Record<string, number> = {};
  for (const name of tensors.names()) {
    const { dtype } = tensors.info(name);
    found[dtype] = (found[dtype] ?? 0) + 1;
  }
  await tensors.close();
  return found;
}

describe('the weights', () => {
  test.each(['F32', 'F16', 'BF16'] as const)('stay %s, byte for byte, unless asked for another type', async (dtype) => {
    const source = await folderOf(tinyModel(), { dtype });
    const out = await imported(source);
    expect(await typesOf(out)).toEqual({ [dtype]: 20 });
    const before = await openSafetensors(join(source, 'model.safetensors'));
    const after = await openSafetensors(join(out, 'model.safetensors'));
    for (const name of before.names()) expect(await after.readBytes(name)).toEqual(await before.readBytes(name));
    await before.close();
    await after.close();
  });

  test('of a quantised file become f32', async () => {
    expect(await typesOf(await imported(await ggufOf(tinyModel(), { type: 'Q8_0' })))).toEqual({ F32: 20 });
  });

  test('become what was asked for', async () => {
    const source = await folderOf(tinyModel(), { dtype: 'BF16' });
    expect(await typesOf(await imported(source, { weights: 'f16' }))).toEqual({ F16: 20 });
    expect(await typesOf(await imported(source, { weights: 'f32' }))).toEqual({ F32: 20 });
  });

  test('in int4 keep the embedding and the head in int8', async () => {
    const source = await folderOf(tinyModel({ tie_word_embeddings: false }));
    const tensors = await openSafetensors(join(await imported(source, { weights: 'int4' }), 'model.safetensors'));
    const bytesOfBlocks = (name: string) => tensors.info(`${name}.weight.quants`).shape.at(-1);
    expect(['model.embed_tokens', 'lm_head'].map(bytesOfBlocks)).toEqual([32, 32]);
    expect(bytesOfBlocks('model.layers.0.self_attn.q_proj')).toBe(16);
    await tensors.close();
  });

  test('that do not fit f16 are refused by name', async () => {
    const parts = tinyModel();
    parts.weights.get('model.layers.1.mlp.up_proj.weight')!.data[7] = 70_000;
    await expect(imported(await folderOf(parts), { weights: 'f16' })).rejects.toThrow(
      'model.safetensors: tensor model.layers.1.mlp.up_proj.weight: 70000 does not fit f16 (at most 65504); write it as f32',
    );
  });

  test.each(['F32', 'F16', 'BF16'] as const)('that are no numbers are refused by name, in %s', async (dtype) => {
    const parts = tinyModel();
    parts.weights.get('model.norm.weight')!.data[3] = Number.NaN;
    const fault = 'tensor model.norm.weight: found NaN or an infinity at element 3, wanted finite numbers';
    await expect(imported(await folderOf(parts, { dtype }))).rejects.toThrow(fault);
  });

  test('may come with buffers that follow from the config, and with a head that is the embedding', async () => {
    const parts = tinyModel();
    const embedding = parts.weights.get('model.embed_tokens.weight')!;
    parts.weights.set('lm_head.weight', embedding);
    const inverse = { shape: [4], data: Float32Array.of(1, 0.1, 0.01, 0.001) };
    parts.weights.set('model.layers.0.self_attn.rotary_emb.inv_freq', inverse);
    expect(await typesOf(await imported(await folderOf(parts)))).toEqual({ F32: 20 });
    parts.weights.set('lm_head.weight', { ...embedding, data: embedding.data.map((x) => x + 1) });
    await expect(imported(await folderOf(parts))).rejects.toThrow(
      'tensor lm_head.weight: found other numbers than in the embedding, wanted the same',
    );
  });

  test('of another shape than the config says, missing or of no use are refused before anything is written', async () => {
    const out = place();
    const refused = async (change: (weights: Map<string, { shape: number[]; data: Float32Array }>) => void) => {
      const parts = tinyModel();
      change(parts.weights);
      const source = await folderOf(parts);
      return importModel({ source, out, id: 'm', experts: base }).catch((error: Error) => error.message);
    };
    const name = 'model.layers.0.mlp.gate_proj.weight';
    expect(await refused((weights) => weights.delete(name))).toBe(
      `model.safetensors: tensor ${name}: found no tensor of this name, wanted shape [48, 32]`,
    );
    expect(await refused((weights) => weights.set(name, { shape: [2], data: Float32Array.of(1, 2) }))).toBe(
      `model.safetensors: tensor ${name}: found shape [2], wanted [48, 32], as the config says`,
    );
    expect(await refused((weights) => weights.set('score.weight', { shape: [1], data: Float32Array.of(1) }))).toBe(
      'model.safetensors: tensor score.weight: found shape [1], wanted no tensor of this name',
    );
    expect(existsSync(`${out}.partial`)).toBe(false);
  });
});

describe('the chat template', () => {
  test.each<[NonNullable<FolderOptions['template']>, string]>([
    ['file', 'chat_template.jinja'],
    ['key', 'tokenizer_config.json'],
    ['list', 'the template "default" of tokenizer_config.json'],
  ])('%s: is taken from %s', async (template) => {
    const out = await imported(await folderOf(tinyModel(), { template }));
    expect(await readFile(join(out, 'chat_template.jinja'), 'utf8')).toBe(CHAT_TEMPLATE);
  });

  test('that is not there is an error that names the key, unless one is given', async () => {
    const source = await folderOf(tinyModel(), { template: 'none' });
    const wanted = 'wanted a chat template; give one with --chat-template FILE';
    await expect(imported(source)).rejects.toThrow(`tokenizer_config.json: chat_template: found nothing, ${wanted}`);
    const chatTemplate = CHAT_TEMPLATE.replace('user', 'user');
    expect(await readFile(join(await imported(source, { chatTemplate }), 'chat_template.jinja'), 'utf8')).toBe(
      chatTemplate,
    );
    const gguf = await ggufOf(tinyModel(), { metadata: { 'tokenizer.chat_template': undefined } });
    await expect(imported(gguf)).rejects.toThrow(`tokenizer.chat_template: found nothing, ${wanted}`);
  });
});

describe('the experts', () => {
  test('adapters are copied byte by byte, prompts are written, and the manifest says what each expert is', async () => {
    const parts = tinyModel({ max_position_embeddings: 2048 });
    const { safety } = await adaptersFor(parts);
    const prompt = await readFile(SAFETY_PROMPT_FILE, 'utf8');
    const out = await imported(await folderOf(parts), { experts: { safety: { ...safety, prompt }, helpfulness: {} } });
    for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
      expect(await readFile(join(out, 'experts/safety', file))).toEqual(await readFile(join(safety.adapter!, file)));
    }
    // As the model reads it: the digest in a receipt is the one that sha256sum prints.
    expect(await readFile(join(out, 'experts/safety/prompt.txt'), 'utf8')).toBe(prompt.trim());
    const { manifest, experts } = await loadBundle(out);
    expect(manifest.experts).toEqual([
      { name: 'safety', role: 'safety', prompt: true },
      { name: 'helpfulness', role: 'helpfulness', adapter: false },
    ]);
    expect(experts[0]).toMatchObject({ rank: 4, alpha: 8, prompt: prompt.trim() });
  });

  test('an adapter for another base is refused by the shapes of its own files', async () => {
    const { safety } = await adaptersFor(tinyModel({ intermediate_size: 64 }));
    await expect(imported(await folderOf(tinyModel()), { experts: { safety, helpfulness: {} } })).rejects.toThrow(
      `${join(safety.adapter!, 'adapter_model.safetensors')}: tensor base_model.model.model.layers.0.mlp.down_proj.` +
        'lora_A.weight: found shape [4, 64], wanted [4, 48]',
    );
  });

  test('an adapter with a key that we do not serve is refused by the key', async () => {
    const { safety } = await adaptersFor(tinyModel());
    const file = join(safety.adapter!, 'adapter_config.json');
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), use_dora: true }));
    await expect(imported(await folderOf(tinyModel()), { experts: { safety, helpfulness: {} } })).rejects.toThrow(
      `${file}: use_dora: found true, wanted false`,
    );
  });

  test('a folder without an adapter is refused, and one with an old adapter says what to do', async () => {
    const adapter = place();
    await mkdir(adapter);
    const run = async () =>
      imported(await folderOf(tinyModel()), { experts: { safety: { adapter }, helpfulness: {} } });
    await expect(run()).rejects.toThrow(
      'adapter_config.json: found no such file, wanted a LoRA adapter as PEFT saves it',
    );
    await writeFile(join(adapter, 'adapter_model.bin'), '');
    await expect(run()).rejects.toThrow('found only adapter_model.bin, wanted safetensors: save it again');
  });

  test('a prompt that does not fit the context is refused', async () => {
    const prompt = await readFile(SAFETY_PROMPT_FILE, 'utf8');
    await expect(
      imported(await folderOf(tinyModel()), { experts: { safety: { prompt }, helpfulness: {} } }),
    ).rejects.toThrow(/^experts\/safety\/prompt\.txt: found \d+ tokens .* of the context$/);
  });

  test('learned routers come from another bundle, or from a folder with their files', async () => {
    const parts = tinyBundle({ routers: true });
    const bundle = place();
    await writeBundle(bundle, parts, { dtype: 'f32' });
    const experts = await adaptersFor(parts);
    const source = await folderOf(parts);
    const whole = await loadBundle(await imported(source, { experts, routers: bundle }));
    expect(whole.routers).toEqual(parts.routers);
    const files = await loadBundle(await imported(source, { experts, routers: join(bundle, 'routers') }));
    expect(files.manifest.router).toEqual({ layers: { variant: 'faithful' }, logits: { width: 6 } });
    await expect(imported(source, { experts, routers: source })).rejects.toThrow('found no router');
  });
});

describe('the manifest', () => {
  test('says which files were read, and what the model says of its licence', async () => {
    const source = await folderOf(tinyModel(), { shards: 2 });
    await writeFile(join(source, 'README.md'), '---\ntags: [x]\nlicense: llama3.2\n---\n# Tiny\n');
    const { manifest } = await loadBundle(await imported(source));
    expect(manifest.licence).toBe('LicenseRef-llama3.2');
    expect(manifest.provenance.files!.map(({ name }) => name)).toEqual([
      'config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'model.safetensors.index.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
    const gguf = await loadBundle(await imported(await ggufOf(tinyModel(), { type: 'Q4_0' }), { licence: 'MIT' }));
    expect(gguf.manifest).toMatchObject({ id: 'm', licence: 'MIT' });
    expect(gguf.manifest.provenance.description).toMatch(/\(gguf, F32, Q4_0\), weights written as f32\.$/);
  });
});

describe('a GGUF file', () => {
  test.each<[key: string, value: Parameters<typeof ggufOf>[1], message: RegExp]>([
    [
      'tokenizer.ggml.model',
      { metadata: { 'tokenizer.ggml.model': 'bert' } },
      /found "bert", wanted "gpt2" or "llama"/,
    ],
    ['tokenizer.ggml.pre', { metadata: { 'tokenizer.ggml.pre': 'gpt-4o' } }, /found "gpt-4o", wanted one of gpt-2, /],
    ['tokenizer.ggml.merges', { metadata: { 'tokenizer.ggml.merges': undefined } }, /found nothing, wanted this key/],
    ['tokenizer.ggml.eos_token_id', { metadata: { 'tokenizer.ggml.eos_token_id': undefined } }, /found nothing/],
    ['tokenizer.ggml.bos_token_id', { metadata: { 'tokenizer.ggml.bos_token_id': 4000 } }, /found 4000, wanted one of/],
    [
      'tokenizer.ggml.tokens',
      { metadata: { 'tokenizer.ggml.tokens': texts(['a', 'a']), 'tokenizer.ggml.token_type': undefined } },
      /the same token twice/,
    ],
    ['llama.block_count', { metadata: { 'llama.block_count': 'two' } }, /found "two", wanted a number/],
    [
      'llama.rope.scaling.type',
      { metadata: { 'llama.rope.scaling.type': 'yarn' } },
      /found "yarn", wanted "none" or "linear"/,
    ],
    [
      'llama.rope.dimension_count',
      { metadata: { 'llama.rope.dimension_count': 4 } },
      /found 4, wanted 8, a whole head/,
    ],
    ['llama.expert_count', { metadata: { 'llama.expert_count': 8 } }, /found 8, wanted 0/],
    [
      'llama.attention.scale',
      { metadata: { 'llama.attention.scale': float(0.5) } },
      /found 0.5, wanted only keys whose effect is known/,
    ],
  ])('is refused for %s, with what was found', async (key, options, message) => {
    const error = await imported(await ggufOf(tinyModel(), options)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BundleError);
    expect((error as Error).message).toMatch(new RegExp(`^\\d+\\.gguf: ${key.replaceAll('.', '\\.')}: `));
    expect((error as Error).message).toMatch(message);
  });

  test('is refused if its frequencies are not those that Meta has published', async () => {
    const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const parts = tinyModel({ rope_theta: 5e5, rope_scaling: { ...scaling, original_max_position_embeddings: 64 } });
    await expect(imported(await ggufOf(parts))).rejects.toThrow(
      'tensor rope_freqs.weight: found 4 divisors, up to 8, wanted those of Llama 3.1 and 3.2 for this head',
    );
  });
});

describe('the folder', () => {
  test('of a finished import holds the bundle and nothing else', async () => {
    const out = await imported(await folderOf(tinyModel()), { experts: await adaptersFor(tinyModel()) });
    expect((await readdir(out)).sort()).toEqual([
      'chat_template.jinja',
      'config.json',
      'experts',
      'model.safetensors',
      'plimsoll.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(await readdir(dirname(out))).not.toContain(`${basename(out)}.partial`);
  });

  test('is refused if something is there, and replaced by force only if it is a bundle', async () => {
    const source = await folderOf(tinyModel());
    const out = await imported(source);
    const again = (place: string, force: boolean) =>
      importModel({ source, out: place, id: 'again', experts: base, force });
    await expect(again(out, false)).rejects.toThrow('found a bundle, wanted a new folder; --force replaces the bundle');
    await again(out, true);
    expect((await loadBundle(out)).id).toBe('again');
    await expect(again(source, true)).rejects.toThrow('found a folder that is not empty and no bundle');
    await expect(again(join(out, 'plimsoll.json'), true)).rejects.toThrow('found a file, wanted a new folder');
  });

  test('of a source says what is missing in it', async () => {
    const source = await folderOf(tinyModel());
    await rm(join(source, 'model.safetensors'));
    await writeFile(join(source, 'pytorch_model.bin'), '');
    await expect(imported(source)).rejects.toThrow('found pytorch_model.bin, wanted model.safetensors, or');
    await rm(join(source, 'tokenizer.json'));
    await writeFile(join(source, 'tokenizer.model'), '');
    await expect(imported(source)).rejects.toThrow('tokenizer.json: found only tokenizer.model, wanted tokenizer.json');
    await expect(imported(join(source, 'nowhere'))).rejects.toThrow(
      'found no such file, wanted a folder of Hugging Face or',
    );
    const copy = place();
    await cp(source, copy, { recursive: true });
    await writeFile(join(copy, 'model.safetensors'), encodeSafetensors(tinyModel().weights, 'F32').subarray(0, 5000));
    await writeFile(join(copy, 'tokenizer.json'), JSON.stringify(tinyModel().tokenizer));
    await expect(imported(copy)).rejects.toThrow(/^model\.safetensors: truncated/);
  });
});
