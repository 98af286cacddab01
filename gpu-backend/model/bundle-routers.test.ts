/** The learned routers of a bundle. */
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { loadBundle } from './load-bundle.ts';
import { bundleBench, editJson, editTensors } from './testing/bundle-bench.ts';
import { writeBundle } from './write-bundle.ts';

const { root, sound, routed, broken } = bundleBench('bundle-routers');

describe('learned routers', () => {
  const LAYERS = 'routers/layers.safetensors';
  const LOGITS = 'routers/logits.safetensors';
  const ALPHA = 'layers.1.alpha.weight';

  test('load with every number as it was, even if the weights are in half precision', async () => {
    const { routers } = tinyBundle({ routers: true });
    expect((await loadBundle(routed)).routers).toEqual(routers);
    const half = join(root, 'routed-half');
    await writeBundle(half, tinyBundle({ routers: true }), { dtype: 'f16' });
    expect((await loadBundle(half)).routers).toEqual(routers);
  });

  test.each(['layers', 'logits'] as const)('load from a bundle that holds only the %s router', async (kind) => {
    const { routers, ...parts } = tinyBundle({ routers: true });
    const dir = join(root, `only-${kind}`);
    const only = { layers: null, logits: null, [kind]: routers[kind] };
    await writeBundle(dir, { ...parts, routers: only });
    const bundle = await loadBundle(dir);
    expect(bundle.routers).toEqual(only);
    expect(Object.keys(bundle.manifest.router ?? {})).toEqual([kind]);
    expect(await readdir(join(dir, 'routers'))).toEqual([`${kind}.safetensors`]);
  });

  test('a layers router needs experts that change nothing but down_proj, a logits router does not', async () => {
    const { routers, ...parts } = tinyBundle({ routers: true, targets: ['self_attn.q_proj', 'mlp.down_proj'] });
    const dir = join(root, 'routed-elsewhere');
    await expect(writeBundle(dir, { ...parts, routers })).rejects.toThrow(
      'experts/safety/adapter_config.json: target_modules: found self_attn.q_proj, wanted mlp.down_proj alone: ' +
        'plimsoll.json names a layers router, which mixes experts only there',
    );
    await writeBundle(dir, { ...parts, routers: { ...routers, layers: null } });
  });

  test.each([LAYERS, LOGITS])('are part of the digest: %s', async (file) => {
    const changed = await broken(
      editTensors(file, (tensors) => ([...tensors.values()][0]!.data[0]! += 1)),
      routed,
    );
    expect((await loadBundle(changed)).digest).not.toBe((await loadBundle(routed)).digest);
  });

  test('are not read and not part of the digest unless the manifest names them', async () => {
    const dir = await broken((dir) => cp(join(routed, 'routers'), join(dir, 'routers'), { recursive: true }));
    const bundle = await loadBundle(dir);
    expect(bundle.routers).toEqual({ layers: null, logits: null });
    expect(bundle.digest).toBe((await loadBundle(sound)).digest);
  });

  test.each<[string, (dir: string) => Promise<unknown>, RegExp]>([
    [
      'no layers file',
      (dir) => rm(join(dir, LAYERS)),
      /^routers\/layers\.safetensors: cannot be read: found no such file/,
    ],
    [
      'no logits file',
      (dir) => rm(join(dir, LOGITS)),
      /^routers\/logits\.safetensors: cannot be read: found no such file/,
    ],
    [
      'a gate of the wrong width',
      editTensors(LAYERS, (t) => t.set(ALPHA, { shape: [32], data: new Float32Array(32) })),
      /^routers\/layers\.safetensors: tensor layers\.1\.alpha\.weight: found shape \[32\], wanted \[48\]/,
    ],
    [
      'a missing gate',
      editTensors(LAYERS, (t) => t.delete('layers.0.beta.bias')),
      /tensor layers\.0\.beta\.bias: found no tensor of this name, wanted shape \[1\]/,
    ],
    [
      'gates for one layer too many',
      editTensors(LAYERS, (t) => t.set('layers.2.alpha.bias', { shape: [1], data: Float32Array.of(0) })),
      /tensor layers\.2\.alpha\.bias: found shape \[1\], wanted no tensor of this name/,
    ],
    [
      'a NaN in a gate',
      editTensors(LAYERS, (t) => (t.get(ALPHA)!.data[5] = Number.NaN)),
      /layers\.1\.alpha\.weight: found NaN or an infinity at element 5, wanted finite numbers/,
    ],
    [
      'an infinity in a bias',
      editTensors(LOGITS, (t) => (t.get('out.bias')!.data[0] = Number.POSITIVE_INFINITY)),
      /^routers\/logits\.safetensors: tensor out\.bias: found NaN or an infinity at element 0/,
    ],
    [
      'a width that differs from its file’s',
      editJson('plimsoll.json', (json) => (json.router.logits.width = 7)),
      /^routers\/logits\.safetensors: tensor hidden\.weight: found shape \[6, 64\], wanted \[7, 64\]/,
    ],
    ['no width', editJson('plimsoll.json', (json) => delete json.router.logits.width), /router\.logits\.width/],
    ['a width of 0', editJson('plimsoll.json', (json) => (json.router.logits.width = 0)), /router\.logits\.width/],
    [
      'an unknown variant',
      editJson('plimsoll.json', (json) => (json.router.layers.variant = 'improved')),
      /^plimsoll\.json: router\.layers\.variant: .*"faithful"\|"corrected"/,
    ],
    [
      'an unknown kind',
      editJson('plimsoll.json', (json) => (json.router.edge = {})),
      /^plimsoll\.json: router: .*"edge"/,
    ],
    [
      'a router entry that names no router',
      editJson('plimsoll.json', (json) => (json.router = {})),
      /^plimsoll\.json: router: names no router, wanted 'layers', 'logits' or both/,
    ],
    [
      'no mention of routers',
      editJson('plimsoll.json', (json) => delete json.router),
      /^plimsoll\.json: router: Invalid input/,
    ],
  ])('refuses %s', async (_what, change, message) => {
    await expect(loadBundle(await broken(change, routed))).rejects.toThrow(message);
  });
});
