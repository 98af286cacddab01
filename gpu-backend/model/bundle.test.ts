import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Expert } from './adapter.ts';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from './fixtures/tiny-families.ts';
import { loadBundle } from './load-bundle.ts';
import { bundleBench, editJson, editTensors } from './testing/bundle-bench.ts';
import { writeBundle } from './write-bundle.ts';

const { root, sound, broken } = bundleBench('bundle');

const WEIGHTS = 'model.safetensors';
const GENERATION = 'generation_config.json';
const SAFETY = 'experts/safety/adapter_model.safetensors';
const UP = 'model.layers.1.mlp.up_proj.weight';
const LORA_A = 'base_model.model.model.layers.0.mlp.down_proj.lora_A.weight';

test('loads a written bundle with every number as it was', async () => {
  const parts = tinyBundle();
  const bundle = await loadBundle(sound);
  expect(bundle.weights).toEqual(parts.weights);
  expect(bundle.experts).toEqual(parts.experts);
  expect(bundle.config).toEqual(parts.config);
  expect(bundle.routers).toEqual({ layers: null, logits: null });
  expect(bundle.id).toBe('tiny');
  expect(bundle.digest).toMatch(/^[0-9a-f]{64}$/);
});

test('f16 halves the file size and keeps three digits', async () => {
  const dir = join(root, 'half');
  const parts = tinyBundle();
  await writeBundle(dir, parts, { dtype: 'f16' });
  const { weights } = await loadBundle(dir);
  const [half, full] = await Promise.all([dir, sound].map((d) => readFile(join(d, WEIGHTS))));
  expect(half!.byteLength).toBeLessThan(full!.byteLength * 0.6);
  for (const [name, { data }] of parts.weights) {
    // Rounding to 11 bits of significand is off by at most 2^-11 of the value, or 2^-25 near zero.
    weights.get(name)!.data.forEach((x, i) => {
      expect(Math.abs(x - data[i]!)).toBeLessThanOrEqual(Math.max(Math.abs(data[i]!) * 2 ** -11, 2 ** -25));
    });
  }
});

test('experts may differ in rank, scale, modules and layers, and survive a second writing', async () => {
  const parts = tinyBundle();
  const [safety, helpfulness] = parts.experts as [Expert, Expert];
  const { modules } = tinyBundle({ rank: 8, targets: ['self_attn.k_proj', 'mlp.down_proj'] }).experts[0]!;
  const [keys, , , down] = [...modules];
  const experts: Expert[] = [
    { ...safety, trainedOn: 'some/base', modules: new Map([keys!, [down![0], { ...down![1], scale: 3 }]]) },
    {
      ...helpfulness,
      modules: new Map([...helpfulness.modules].map(([name, lora]) => [name, { ...lora, scale: 0.5 }])),
    },
  ];
  for (const name of ['uneven', 'uneven-again']) {
    const dir = join(root, name);
    await writeBundle(dir, { ...parts, experts }, { dtype: 'f32' });
    expect((await loadBundle(dir)).experts).toEqual(experts);
  }
});

test('the digest depends on the content: the same for a copy or with a new model card, but different when a weight changes', async () => {
  const digest = async (dir: string) => (await loadBundle(dir)).digest;
  const original = await digest(sound);
  expect(await digest(await broken(async () => {}))).toBe(original);
  expect(await digest(await broken((dir) => writeFile(join(dir, 'README.md'), '# card')))).toBe(original);
  const changed = await broken(editTensors(WEIGHTS, (tensors) => (tensors.get(UP)!.data[0]! += 1)));
  expect(await digest(changed)).not.toBe(original);
});

test('writing over a bundle replaces all of it, or nothing if the new one would not load', async () => {
  const dir = join(root, 'replaced');
  const first = await writeBundle(dir, { ...tinyBundle(), extraFiles: { 'README.md': 'old' } });
  const bad = tinyBundle({ seed: 2 });
  bad.weights.delete(UP);
  await expect(writeBundle(dir, bad)).rejects.toThrow(UP);
  expect((await loadBundle(dir)).digest).toBe(first);

  const second = await writeBundle(dir, tinyBundle({ seed: 2 }));
  expect((await loadBundle(dir)).digest).toBe(second);
  expect(await readdir(dir)).not.toContain('README.md');
  expect((await readdir(root)).filter((name) => name.startsWith('.'))).toEqual([]);
});

test.each<[string, (dir: string) => Promise<unknown>, RegExp]>([
  ...[
    'config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'chat_template.jinja',
    'plimsoll.json',
    WEIGHTS,
    SAFETY,
    'experts/helpfulness/adapter_config.json',
  ].map((file): [string, (dir: string) => Promise<unknown>, RegExp] => [
    `no ${file}`,
    (dir) => rm(join(dir, file)),
    new RegExp(`^${file.replaceAll('.', '\\.')}: cannot be read: found no such file`),
  ]),
  [
    'a weight of the wrong shape',
    editTensors(WEIGHTS, (t) => t.set(UP, { ...t.get(UP)!, shape: [32, 48] })),
    /^model\.safetensors: tensor model\.layers\.1\.mlp\.up_proj\.weight: found shape \[32, 48\], wanted \[48, 32\]/,
  ],
  [
    'a missing weight',
    editTensors(WEIGHTS, (t) => t.delete(UP)),
    /up_proj\.weight: found no tensor of this name, wanted shape \[48, 32\]/,
  ],
  [
    'an extra weight',
    editTensors(WEIGHTS, (t) => t.set('lm_head.weight', { shape: [1], data: Float32Array.of(0) })),
    /tensor lm_head\.weight: found shape \[1\], wanted no tensor of this name/,
  ],
  [
    'a NaN among the weights',
    editTensors(WEIGHTS, (t) => (t.get(UP)!.data[7] = Number.NaN)),
    /up_proj\.weight: found NaN or an infinity at element 7, wanted finite numbers/,
  ],
  [
    'a truncated weights file',
    async (dir) => writeFile(join(dir, WEIGHTS), (await readFile(join(dir, WEIGHTS))).subarray(0, -100)),
    /^model\.safetensors: truncated/,
  ],
  [
    'an adapter of the wrong shape',
    editTensors(SAFETY, (t) => t.set(LORA_A, { ...t.get(LORA_A)!, shape: [48, 4] })),
    /^experts\/safety\/adapter_model\.safetensors: tensor .*lora_A\.weight: found shape \[48, 4\], wanted \[4, 48\]/,
  ],
  [
    'an infinity in an adapter',
    editTensors(SAFETY, (t) => (t.get(LORA_A)!.data[0] = Infinity)),
    /lora_A\.weight: found NaN or an infinity at element 0/,
  ],
  [
    'an adapter that belongs on another base',
    editJson('experts/safety/adapter_config.json', (json) => (json.init_lora_weights = 'pissa')),
    /^experts\/safety\/adapter_config\.json: init_lora_weights: found "pissa", wanted true, false or one of/,
  ],
  [
    'an adapter for other modules',
    editJson('experts/safety/adapter_config.json', (json) => (json.target_modules = ['q_proj', 'lm_head'])),
    /^experts\/safety\/adapter_config\.json: target_modules: found \["q_proj","lm_head"\], wanted only linear modules .* it also selects lm_head/,
  ],
  [
    'an adapter without the tensors of a module that it names',
    editJson('experts/safety/adapter_config.json', (json) => json.target_modules.push('q_proj')),
    /^experts\/safety\/adapter_model\.safetensors: tensor .*layers\.0\.self_attn\.q_proj\.lora_A\.weight: found no tensor of this name, wanted shape \[4, 32\]/,
  ],
  [
    'an adapter with tensors for a layer that its config leaves alone',
    editJson('experts/safety/adapter_config.json', (json) => (json.layers_to_transform = [1])),
    /adapter_model\.safetensors: tensor .*layers\.0\.mlp.*: found shape .*, wanted no tensor of this name/,
  ],
  [
    'an adapter whose tensors have another rank than its config says',
    editJson('experts/safety/adapter_config.json', (json) => (json.rank_pattern = { 'layers.0.mlp.down_proj': 3 })),
    /^experts\/safety\/adapter_model\.safetensors: tensor .*lora_A\.weight: found shape \[4, 48\], wanted \[3, 48\]/,
  ],
  [
    'no safety expert',
    editJson('plimsoll.json', (json) => json.experts.shift()),
    /^plimsoll\.json: experts: found 0 experts with the role safety, wanted 1/,
  ],
  ['an unknown key', editJson('plimsoll.json', (json) => (json.flor = 1)), /^plimsoll\.json: .*flor/],
  ['a weight out of range', editJson('plimsoll.json', (json) => (json.default_weight = 2)), /default_weight/],
  ['a newer format', editJson('plimsoll.json', (json) => (json.format = 2)), /^plimsoll\.json: format/],
  [
    'an expert whose name leads out of the folder',
    editJson('plimsoll.json', (json) => (json.experts[0].name = '../x')),
    /experts\.0\.name/,
  ],
  ['no eos token', editJson('config.json', (json) => delete json.eos_token_id), /^config\.json: eos_token_id/],
  [
    'an eos that is an ordinary token',
    editJson('config.json', (json) => (json.eos_token_id = 70)),
    /^config\.json: eos_token_id: found 70, wanted the id of a special token/,
  ],
  [
    'an ordinary token among several eos',
    editJson('config.json', (json) => (json.eos_token_id = [5, 70])),
    /^config\.json: eos_token_id: found 70, wanted the id of a special token/,
  ],
  [
    'a generation config whose eos is an ordinary token',
    (dir) => writeFile(join(dir, GENERATION), '{ "eos_token_id": [5, 71] }'),
    /^generation_config\.json: eos_token_id: found 71, wanted the id of a special token/,
  ],
  [
    'a generation config whose eos is no id',
    (dir) => writeFile(join(dir, GENERATION), '{ "eos_token_id": "<|end|>" }'),
    /^generation_config\.json: eos_token_id: found "<\|end\|>", wanted a token id or a list of them/,
  ],
  [
    'arithmetic that the decoder does not compute',
    editJson('config.json', (json) => (json.rope_parameters = { rope_theta: 10_000, rope_type: 'yarn', factor: 4 })),
    /^config\.json: rope_parameters\.rope_type: found "yarn", wanted one of "default", "linear", "llama3"/,
  ],
  [
    'two files that disagree about eos',
    editJson('tokenizer_config.json', (json) => (json.eos_token = '<|bos|>')),
    /^tokenizer_config\.json: eos_token: found <\|bos\|>, wanted <\|end\|>/,
  ],
  [
    'a tokenizer larger than the model',
    editJson('tokenizer.json', (json) => (json.model.vocab.ooooo = 300)),
    /^tokenizer\.json: found 301 tokens, wanted at most the model's 272/,
  ],
  [
    'a byte without a token',
    editJson('tokenizer.json', (json) => delete json.model.vocab.a),
    /^tokenizer\.json: no token for the bytes 0x61: found 255 of 256/,
  ],
  [
    'a merge without a token',
    editJson('tokenizer.json', (json) => json.model.merges.push('a b')),
    /^tokenizer\.json: the merge into "ab" has no token/,
  ],
  [
    'a tokenizer that is not byte-level',
    editJson('tokenizer.json', (json) => (json.pre_tokenizer = { type: 'Whitespace' })),
    /^tokenizer\.json: loses text/,
  ],
  [
    'a vocabulary that spells out a special token',
    editJson('tokenizer.json', (json) => {
      json.pre_tokenizer.use_regex = false;
      json.model.ignore_merges = true;
    }),
    /^tokenizer\.json: plain text was encoded as the special token/,
  ],
  [
    'a broken template',
    (dir) => writeFile(join(dir, 'chat_template.jinja'), '{% for %}'),
    /^chat_template\.jinja: not a Jinja/,
  ],
  [
    'an empty template',
    (dir) => writeFile(join(dir, 'chat_template.jinja'), ''),
    /^chat_template\.jinja: renders .* as nothing/,
  ],
  ['a config that is not JSON', (dir) => writeFile(join(dir, 'config.json'), '{'), /^config\.json: not JSON/],
])('refuses a bundle with %s', async (_what, change, message) => {
  await expect(loadBundle(await broken(change))).rejects.toThrow(message);
});

describe('the tokens that end an answer', () => {
  const withEos = (ids: unknown, generation?: object) =>
    broken(async (dir) => {
      await editJson('config.json', (json) => (json.eos_token_id = ids))(dir);
      if (generation) await writeFile(join(dir, GENERATION), JSON.stringify(generation));
    });
  const eosOf = async (dir: Promise<string>) => (await loadBundle(await dir)).config.eos_token_id;

  test('may be several, and generation_config.json may add more', async () => {
    expect(await eosOf(withEos([5, 1]))).toEqual([5, 1]);
    expect(await eosOf(withEos(5, { eos_token_id: [0, 5] }))).toEqual([5, 0]);
    expect(await eosOf(withEos([5, 1], { eos_token_id: 0 }))).toEqual([5, 1, 0]);
  });

  test('stay as they are if generation_config.json names no others', async () => {
    expect(await eosOf(withEos(5, { eos_token_id: 5, temperature: 0.6 }))).toBe(5);
    expect(await eosOf(withEos(5, { do_sample: true }))).toBe(5);
    expect(await eosOf(withEos(5, { eos_token_id: null }))).toBe(5);
  });

  test('the template writes the one that tokenizer_config.json names, or else the first', async () => {
    const rendered = async (eosToken: string | undefined) => {
      const dir = await withEos([1, 5]);
      await editJson('tokenizer_config.json', (json) => (json.eos_token = eosToken))(dir);
      await writeFile(join(dir, 'chat_template.jinja'), '{{ eos_token }}');
      return (await loadBundle(dir)).renderChat([{ role: 'user', content: 'Hi' }]);
    };
    expect([...(await rendered('<|end|>'))]).toEqual([5]);
    expect([...(await rendered(undefined))]).toEqual([1]);
  });

  test('generation_config.json is part of the digest', async () => {
    const { digest } = await loadBundle(sound);
    const [one, other] = [await withEos(5, { eos_token_id: 5 }), await withEos(5, { eos_token_id: [5, 1] })];
    const digests = [digest, (await loadBundle(one)).digest, (await loadBundle(other)).digest];
    expect(new Set(digests).size).toBe(3);
  });
});

describe('sampling where a client names nothing', () => {
  const samplingOf = async (generation: object | null, own?: object) => {
    const dir = await broken(async (dir) => {
      if (generation) await writeFile(join(dir, GENERATION), JSON.stringify(generation));
      await editJson('plimsoll.json', (json) => (json.sampling = own))(dir);
    });
    return (await loadBundle(dir)).sampling;
  };
  const plain = { temperature: 1, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 };

  test('is plain, or what generation_config.json says, or what plimsoll.json says instead', async () => {
    expect(await samplingOf(null)).toEqual(plain);
    const generation = { temperature: 0.6, top_p: 0.95, top_k: 20, repetition_penalty: null, num_beams: 4 };
    expect(await samplingOf(generation)).toEqual({ ...plain, temperature: 0.6, top_p: 0.95, top_k: 20 });
    expect(await samplingOf({ do_sample: true })).toEqual(plain);
    expect(await samplingOf(generation, { temperature: 0.2 })).toEqual({ ...plain, temperature: 0.2 });
    expect(await samplingOf(generation, {})).toEqual(plain);
  });

  test('is the likeliest token if generation_config.json says do_sample: false, penalties included', async () => {
    const greedy = { do_sample: false, temperature: 0.6, top_k: 20, repetition_penalty: 1.1 };
    expect(await samplingOf(greedy)).toEqual({ ...plain, temperature: 0, repetition_penalty: 1.1 });
  });

  test.each([
    [{ temperature: 3 }, 'temperature: found 3, wanted a number from 0 to 2'],
    [{ top_p: 0 }, 'top_p: found 0, wanted a number above 0, at most 1'],
    [{ top_k: 2.5 }, 'top_k: found 2.5, wanted a whole number of at least 0'],
    [{ min_p: '0.1' }, 'min_p: found "0.1", wanted a number from 0 to 1'],
    [{ repetition_penalty: 0 }, 'repetition_penalty: found 0, wanted a number above 0, at most 2'],
    [{ do_sample: 1 }, 'do_sample: found 1, wanted true or false'],
  ])('in generation_config.json is refused where it makes no sense: %j', async (generation, problem) => {
    await expect(samplingOf(generation)).rejects.toThrow(`generation_config.json: ${problem}`);
  });

  test('in plimsoll.json may name nothing else', async () => {
    await expect(samplingOf(null, { typical_p: 0.9 })).rejects.toThrow('plimsoll.json: sampling: Unrecognized key');
  });
});

describe('families', () => {
  test.each(TINY_FAMILY_NAMES)('a bundle of %s loads as it was written', async (name) => {
    const parts = tinyBundle({ config: TINY_FAMILIES[name] });
    const dir = join(root, name);
    await writeBundle(dir, parts, { dtype: 'f32' });
    const { config, weights } = await loadBundle(dir);
    expect(config).toEqual(parts.config);
    expect(weights).toEqual(parts.weights);
    const { architectures } = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
    expect(architectures).toEqual([
      {
        llama: 'LlamaForCausalLM',
        mistral: 'MistralForCausalLM',
        qwen2: 'Qwen2ForCausalLM',
        qwen3: 'Qwen3ForCausalLM',
      }[config.model_type],
    ]);
  });

  test.each([
    ['Qwen2.5', 'model.layers.1.self_attn.k_proj.bias', [16]],
    ['Qwen3, heads wider than their share', 'model.layers.0.self_attn.q_norm.weight', [14]],
  ] as const)('a bundle of %s without %s is refused', async (name, missing, shape) => {
    const parts = tinyBundle({ config: TINY_FAMILIES[name] });
    parts.weights.delete(missing);
    await expect(writeBundle(join(root, 'lacking'), parts)).rejects.toThrow(
      `model.safetensors: tensor ${missing}: found no tensor of this name, wanted shape [${shape.join(', ')}]`,
    );
  });
});
