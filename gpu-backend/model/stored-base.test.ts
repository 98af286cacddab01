import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { loadBundle, openBundle } from './load-bundle.ts';
import { dequantise, quantise } from './quantise.ts';
import { readSafetensors } from './read-safetensors.ts';
import { encodeSafetensors } from './testing/make-safetensors.ts';
import { restoreWeights } from './testing/restore-weights.ts';
import { writeBundle } from './write-bundle.ts';

const root = await mkdtemp(join(tmpdir(), 'stored-base-'));
afterAll(() => rm(root, { recursive: true }));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(root, 'bundle-'));
  await writeBundle(dir, tinyBundle(), { dtype: 'f32' });
});

const int4 = { type: 'int4', block: 32, arithmetic: 'exact' } as const;
const weightsFile = () => join(dir, 'model.safetensors');

test('points at the bytes of every tensor in the file', async () => {
  const { base } = await openBundle(dir);
  const bytes = await readFile(join(base.folder, base.file));
  const tensors = await readSafetensors(weightsFile());
  expect([...base.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
  for (const [name, { data, shape }] of tensors) {
    const { offset, bytes: length, ...stored } = base.tensors.get(name)!;
    expect(stored).toEqual({ dtype: 'F32', shape });
    expect(new Float32Array(Uint8Array.from(bytes.subarray(offset, offset + length)).buffer)).toEqual(data);
  }
});

test('a link leads to the file itself', async () => {
  const elsewhere = join(root, 'a-blob');
  await rename(weightsFile(), elsewhere);
  await symlink(elsewhere, weightsFile());
  const { base } = await openBundle(dir);
  expect(base).toMatchObject({ file: 'a-blob', quantised: null });
});

test('a quantised bundle loads as the weights that its quants stand for', async () => {
  const { weights: before } = await loadBundle(dir);
  await restoreWeights(dir, int4);
  const { weights, manifest } = await loadBundle(dir);
  expect(manifest.weights).toEqual(int4);
  const table = before.get('model.embed_tokens.weight')!;
  // The table is finer than the rest.
  expect(weights.get('model.embed_tokens.weight')!.data).toEqual(dequantise(quantise(table.data, 'int8')));
  const query = 'model.layers.0.self_attn.q_proj.weight';
  expect(weights.get(query)!.data).toEqual(dequantise(quantise(before.get(query)!.data, 'int4')));
  // 48 columns are no whole blocks.
  const name = 'model.layers.0.mlp.down_proj.weight';
  expect(weights.get(name)!.data).toEqual(before.get(name)!.data);
});

test('a table in 4 bits is read as well', async () => {
  const { weights: before } = await loadBundle(dir);
  await restoreWeights(dir, int4, () => 'int4');
  const name = 'model.embed_tokens.weight';
  const { weights } = await loadBundle(dir);
  expect(weights.get(name)!.data).toEqual(dequantise(quantise(before.get(name)!.data, 'int4')));
});

test('refuses 4 bits where the manifest promises 8', async () => {
  await restoreWeights(dir, { ...int4, type: 'int8' }, () => 'int4');

  await expect(openBundle(dir)).rejects.toThrow(
    'embed_tokens.weight.quants: found shape [272, 1, 16], wanted [272, 1, 32]',
  );
});

test('int4 and int8, and the two arithmetics, have digests of their own', async () => {
  await restoreWeights(dir, int4);
  const digests = [(await openBundle(dir)).digest];
  const manifest = JSON.parse(await readFile(join(dir, 'plimsoll.json'), 'utf8'));
  await writeFile(
    join(dir, 'plimsoll.json'),
    JSON.stringify({ ...manifest, weights: { ...int4, arithmetic: 'fast' } }),
  );
  digests.push((await openBundle(dir)).digest);
  expect(digests[0]).not.toBe(digests[1]);
});

async function rewrite(change: (tensors: Awaited<ReturnType<typeof readSafetensors>>) => void): Promise<void> {
  const tensors = await readSafetensors(weightsFile());
  change(tensors);
  await writeFile(weightsFile(), encodeSafetensors(tensors, 'F32'));
}

test.each<[string, Parameters<typeof rewrite>[0], string]>([
  [
    'a missing tensor',
    (t) => t.delete('model.norm.weight'),
    'tensor model.norm.weight: found no tensor of this name, wanted shape [32]',
  ],
  [
    'a tensor of another shape',
    (t) => t.set('model.norm.weight', { shape: [31], data: new Float32Array(31) }),
    'tensor model.norm.weight: found shape [31], wanted [32]',
  ],
  [
    'a tensor too many',
    (t) => t.set('more', { shape: [1], data: new Float32Array(1) }),
    'tensor more: found shape [1], wanted no tensor of this name',
  ],
  [
    'a NaN',
    (t) => t.get('model.norm.weight')!.data.fill(Number.NaN, 4),
    'tensor model.norm.weight: found NaN or an infinity at element 4, wanted finite numbers',
  ],
])('refuses %s', async (_, change, message) => {
  await rewrite(change);
  await expect(openBundle(dir)).rejects.toThrow(`model.safetensors: ${message}`);
});

test('refuses floats where the manifest promises quants, and quants where it promises floats', async () => {
  const manifest = await readFile(join(dir, 'plimsoll.json'), 'utf8');
  await writeFile(join(dir, 'plimsoll.json'), JSON.stringify({ ...JSON.parse(manifest), weights: int4 }));
  const missing = 'tensor model.embed_tokens.weight.quants: found no tensor of this name, wanted shape [272, 1, 16]';
  await expect(openBundle(dir)).rejects.toThrow(missing);
  await expect(loadBundle(dir)).rejects.toThrow(missing);
  await writeFile(join(dir, 'plimsoll.json'), manifest);
  await restoreWeights(dir, int4);
  await writeFile(join(dir, 'plimsoll.json'), manifest);
  await expect(openBundle(dir)).rejects.toThrow('tensor model.embed_tokens.weight: found no tensor of this name');
});

test.each([{ type: 'int5' }, { block: 64 }, { arithmetic: 'quick' }])('refuses a manifest with %o', async (wrong) => {
  const manifest = JSON.parse(await readFile(join(dir, 'plimsoll.json'), 'utf8'));
  await writeFile(join(dir, 'plimsoll.json'), JSON.stringify({ ...manifest, weights: { ...int4, ...wrong } }));
  await expect(openBundle(dir)).rejects.toThrow(`plimsoll.json: weights.${Object.keys(wrong)[0]}`);
});
