import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { loadBundle } from './load-bundle.ts';
import { readSafetensors } from './read-safetensors.ts';
import type { Tensor } from './tensor.ts';
import { writeBundle } from './write-bundle.ts';
import { writeSafetensors } from './write-safetensors.ts';

let root: string;
let sound: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bundle-'));
  sound = join(root, 'sound');
  await writeBundle(sound, tinyBundle(), { dtype: 'f32' });
});
afterAll(() => rm(root, { recursive: true }));

let copies = 0;
/** A copy of the sound bundle in which one thing is broken. */
async function broken(change: (dir: string) => Promise<unknown>): Promise<string> {
  const dir = join(root, `broken-${copies++}`);
  await cp(sound, dir, { recursive: true });
  await change(dir);
  return dir;
}

// biome-ignore lint/suspicious/noExplicitAny: a test reaches into JSON to break it.
const editJson = (file: string, edit: (json: any) => unknown) => async (dir: string) => {
  const json = JSON.parse(await readFile(join(dir, file), 'utf8'));
  edit(json);
  await writeFile(join(dir, file), JSON.stringify(json));
};

const editTensors = (file: string, edit: (tensors: Map<string, Tensor>) => unknown) => async (dir: string) => {
  const tensors = await readSafetensors(join(dir, file));
  edit(tensors);
  await writeSafetensors(join(dir, file), tensors, { dtype: 'f32' });
};

const WEIGHTS = 'model.safetensors';
const SAFETY = 'experts/safety/adapter_model.safetensors';
const UP = 'model.layers.1.mlp.up_proj.weight';
const LORA_A = 'base_model.model.model.layers.0.mlp.down_proj.lora_A.weight';

test('a written bundle loads with every number as it was', async () => {
  const parts = tinyBundle();
  const bundle = await loadBundle(sound);
  expect(bundle.weights).toEqual(parts.weights);
  expect(bundle.experts).toEqual(parts.experts);
  expect(bundle.config).toEqual(parts.config);
  expect(bundle.id).toBe('tiny');
  expect(bundle.digest).toMatch(/^[0-9a-f]{64}$/);
});

test('f16 halves the file and keeps three digits', async () => {
  const dir = join(root, 'half');
  const parts = tinyBundle();
  await writeBundle(dir, parts, { dtype: 'f16' });
  const { weights } = await loadBundle(dir);
  const [half, full] = await Promise.all([dir, sound].map((d) => readFile(join(d, WEIGHTS))));
  expect(half!.byteLength).toBeLessThan(full!.byteLength * 0.6);
  for (const [name, { data }] of parts.weights) {
    // Rounding to 11 bits of significand: at most 2^-11 of the value, or 2^-25 near zero.
    weights.get(name)!.data.forEach((x, i) => {
      expect(Math.abs(x - data[i]!)).toBeLessThanOrEqual(Math.max(Math.abs(data[i]!) * 2 ** -11, 2 ** -25));
    });
  }
});

test('the digest is that of the content: equal for a copy, another for one changed weight, the same with a new model card', async () => {
  const digest = async (dir: string) => (await loadBundle(dir)).digest;
  const original = await digest(sound);
  expect(await digest(await broken(async () => {}))).toBe(original);
  expect(await digest(await broken((dir) => writeFile(join(dir, 'README.md'), '# card')))).toBe(original);
  const changed = await broken(editTensors(WEIGHTS, (tensors) => (tensors.get(UP)!.data[0]! += 1)));
  expect(await digest(changed)).not.toBe(original);
});

test('writing over a bundle replaces it whole, and one that would not load changes nothing', async () => {
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
    new RegExp(`^${file.replaceAll('.', '\\.')}: the file is missing`),
  ]),
  [
    'a weight of the wrong shape',
    editTensors(WEIGHTS, (t) => t.set(UP, { ...t.get(UP)!, shape: [32, 48] })),
    /^model\.safetensors: tensor model\.layers\.1\.mlp\.up_proj\.weight: found shape \[32, 48\], wanted \[48, 32\]/,
  ],
  ['a missing weight', editTensors(WEIGHTS, (t) => t.delete(UP)), /up_proj\.weight: missing, wanted shape \[48, 32\]/],
  [
    'a weight too many',
    editTensors(WEIGHTS, (t) => t.set('lm_head.weight', { shape: [1], data: Float32Array.of(0) })),
    /tensor lm_head\.weight: found shape \[1\], wanted no tensor of this name/,
  ],
  [
    'a NaN among the weights',
    editTensors(WEIGHTS, (t) => (t.get(UP)!.data[7] = Number.NaN)),
    /up_proj\.weight: found NaN at element 7, wanted finite numbers/,
  ],
  [
    'a truncated file of weights',
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
    /lora_A\.weight: found Infinity at element 0/,
  ],
  [
    'an adapter whose scale PEFT would compute otherwise',
    editJson('experts/safety/adapter_config.json', (json) => (json.use_rslora = true)),
    /^experts\/safety\/adapter_config\.json: use_rslora/,
  ],
  [
    'an adapter of other layers',
    editJson('experts/safety/adapter_config.json', (json) => (json.target_modules = ['q_proj'])),
    /adapter_config\.json: target_modules/,
  ],
  [
    'experts of different ranks',
    async (dir) => {
      const other = await broken(async () => {});
      await writeBundle(other, tinyBundle({ rank: 8 }));
      await cp(join(other, 'experts/helpfulness'), join(dir, 'experts/helpfulness'), { recursive: true });
    },
    /^experts\/helpfulness\/adapter_config\.json: r: found 8, wanted 4/,
  ],
  [
    'no safety expert',
    editJson('plimsoll.json', (json) => json.experts.shift()),
    /^plimsoll\.json: experts: found 0 experts with the role safety, wanted 1/,
  ],
  ['an unknown key', editJson('plimsoll.json', (json) => (json.flor = 1)), /^plimsoll\.json: .*flor/],
  ['a weight out of range', editJson('plimsoll.json', (json) => (json.default_weight = 2)), /default_weight/],
  ['a format of the future', editJson('plimsoll.json', (json) => (json.format = 2)), /^plimsoll\.json: format/],
  [
    'an expert named out of the folder',
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
    'two opinions about eos',
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
    /^tokenizer\.json: no token for the byte 97/,
  ],
  [
    'a merge without a token',
    editJson('tokenizer.json', (json) => json.model.merges.push('a b')),
    /^tokenizer\.json: the merge into "ab" has no token/,
  ],
  [
    'a tokenizer that is not byte-level',
    editJson('tokenizer.json', (json) => (json.pre_tokenizer = { type: 'Whitespace' })),
    /^tokenizer\.json: not byte-level/,
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
  ['a config that is no JSON', (dir) => writeFile(join(dir, 'config.json'), '{'), /^config\.json: not JSON/],
])('refuses a bundle with %s', async (_what, change, message) => {
  await expect(loadBundle(await broken(change))).rejects.toThrow(message);
});
