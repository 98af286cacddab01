/**
 * A random tiny checkpoint with the names and shapes of MidPO's model class, read and served,
 * against a slow computation that keeps the gates' three layers apart.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import { type GatesAt, slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { writeSafetensors } from '#gpu-backend/model/write-safetensors.ts';
import { importModel } from './import-model.ts';
import { readMidpo, readMidpoRouter } from './read-midpo.ts';
import {
  base,
  d,
  F,
  inModel,
  inRouterFile,
  LAYERS,
  modelTensors,
  RANK,
  random,
  routerTensors,
  WIDTH,
} from './testing/make-midpo.ts';
import { writeHuggingFaceFolder } from './testing/make-sources.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'midpo-'));
});
afterAll(() => rm(root, { recursive: true }));

async function opened(tensors: Map<string, Tensor>) {
  const path = join(await mkdtemp(join(root, 'checkpoint-')), 'model.safetensors');
  await writeSafetensors(path, tensors, { dtype: 'f32' });
  return openSafetensors(path, 'model.safetensors');
}

/** `W x + b`. */
const linear = (weight: Tensor, bias: Tensor, x: readonly number[]) =>
  Array.from(bias.data, (b, row) => x.reduce((sum, value, i) => sum + weight.data[row * x.length + i]! * value, b));

/** A gate as the published class computes it, layer after layer. */
function unfolded(tensors: ReadonlyMap<string, Tensor>, gate: string, h: readonly number[]): number {
  const [first, second, third] = [0, 1, 2].map((i) => {
    const part = (name: string) => tensors.get(`${gate}.linear_${i}.${name}`)!;
    return (x: readonly number[]) => linear(part('weight'), part('bias'), x);
  });
  return 1 / (1 + Math.exp(-third!(second!(first!(h)))[0]!));
}

test('a checkpoint of the whole model is served as MidPO computes it: both experts, and the gates of its router', async () => {
  const tensors = modelTensors();
  const folder = await writeHuggingFaceFolder(join(root, 'model'), { ...base, weights: tensors }, { shards: 2 });
  const dir = join(root, 'bundle');
  await importModel({ source: folder, out: dir, id: 'midpo' });

  // The oracle's experts come straight from the checkpoint, times 2 as in the published code.
  const bundle = await loadBundle(dir);
  const raw = (['safety', 'helpfulness'] as const).map((role, i) => ({
    ...bundle.experts[i]!,
    role,
    modules: new Map(
      Array.from({ length: LAYERS }, (_, layer) => {
        const part = (name: string) => tensors.get(`model.layers.${layer}.mlp.lora_${i}.${name}.weight`)!;
        return [`model.layers.${layer}.mlp.down_proj`, { a: part('linear1'), b: part('linear2'), scale: 2 }];
      }),
    ),
  }));
  const shares: number[] = [];
  const gatesAt: GatesAt = ({ layer, h }) => {
    const [safety, helpfulness] = ['alpha', 'beta'].map((gate) => unfolded(tensors, inModel(layer, gate), h));
    shares.push(safety!, helpfulness!);
    return { safety: safety!, helpfulness: helpfulness! };
  };
  const ids = Array.from({ length: 12 }, (_, i) => 10 + ((i * 37) % 200));
  const wanted = slowDecoder({ ...bundle, experts: raw }, ids, gatesAt).logits;
  // Gates that are all 0, 1/2 or 1 would show little.
  expect(new Set(shares.map((share) => Math.floor(share * 5))).size).toBeGreaterThan(3);

  const engine = await OnnxExperts.create(await openBundle(dir), { threads: 1 });
  const step = { sequence: engine.open('layers'), ids, bounds: { floor: 0, ceiling: 1 } };
  const [output] = await Promise.all(engine.append([step]));
  const { logits } = output!.row as { logits: Float32Array };
  // Float32 against float64, as in the engine's tests of families.
  for (const [i, logit] of logits.entries()) expect(Math.abs(logit - wanted[i]!)).toBeLessThan(1e-4);
  await engine.dispose();
});

test('the router of router.pth, as safetensors, is the same router', async () => {
  const alone = await opened(routerTensors(inRouterFile));
  const whole = await opened(modelTensors());
  const router = await readMidpoRouter(alone, base.config);
  expect(router).toEqual((await readMidpo(whole, base.config)).router);
  expect(router.layers).toHaveLength(LAYERS);
  await Promise.all([alone.close(), whole.close()]);
});

test('adapters and a router that lie apart become the same bundle as the checkpoint of the whole', async () => {
  const whole = join(root, 'whole');
  const tensors = modelTensors();
  const folder = await writeHuggingFaceFolder(join(root, 'both'), { ...base, weights: tensors });
  await importModel({ source: folder, out: whole, id: 'midpo' });
  const router = join(root, 'router.safetensors');
  await writeSafetensors(router, routerTensors(inRouterFile), { dtype: 'f32' });
  const plain = await writeHuggingFaceFolder(join(root, 'base'), base);
  const apart = join(root, 'apart');
  const adapter = (role: string) => ({ adapter: join(whole, 'experts', role) });
  const experts = { safety: adapter('safety'), helpfulness: adapter('helpfulness') };
  await importModel({ source: plain, out: apart, id: 'midpo', experts, routers: router });
  const [one, two] = [await loadBundle(whole), await loadBundle(apart)];
  expect(two.experts).toEqual(one.experts);
  expect(two.routers).toEqual(one.routers);
  expect(two.weights).toEqual(one.weights);
  expect(two.manifest.router).toEqual({ layers: { variant: 'faithful' } });

  // What is in the model is in the model.
  const more = { source: folder, out: join(root, 'more'), id: 'midpo' };
  const refused = 'found two experts and a router in the model itself, wanted no others to be named';
  await expect(importModel({ ...more, experts })).rejects.toThrow(refused);
  await expect(importModel({ ...more, routers: router })).rejects.toThrow(refused);
  await expect(importModel({ ...more, source: plain })).rejects.toThrow('found a model without experts of its own');
  await expect(importModel({ ...more, source: plain, experts, routers: folder })).rejects.toThrow('found no router');
  const other = join(folder, 'model.safetensors');
  await expect(importModel({ ...more, source: plain, experts, routers: other })).rejects.toThrow(
    'model.safetensors: tensor layer_0_alpha.linear_0.weight: found no tensor of this name',
  );
});

const LORA = 'model.layers.1.mlp.lora_1.linear2.weight';
const GATE = `${inModel(0, 'beta')}.linear_1.bias`;
test.each<[string, (tensors: Map<string, Tensor>) => unknown, string]>([
  ['without an expert in one layer', (all) => all.delete(LORA), `tensor ${LORA}: found no tensor of this name`],
  [
    'with an expert of two ranks in one layer',
    (all) => all.set(LORA, random([d, RANK + 1], 1)),
    `tensor ${LORA}: found shape [32, 5], wanted [32, 4]`,
  ],
  [
    'with an expert of rank 0',
    (all) => all.set('model.layers.0.mlp.lora_0.linear1.weight', random([0, F], 1)),
    'tensor model.layers.0.mlp.lora_0.linear1.weight: found shape [0, 48], wanted at least one row',
  ],
  [
    'with a gate of another shape',
    (all) => all.set(GATE, random([3], 1)),
    `tensor ${GATE}: found shape [3], wanted [48]`,
  ],
  [
    'with a NaN in a gate',
    (all) => all.set(GATE, { shape: [F], data: new Float32Array(F).fill(Number.NaN) }),
    `tensor ${GATE}: found NaN or an infinity at element 0, wanted finite numbers`,
  ],
  [
    'with a third expert',
    (all) => all.set('model.layers.0.mlp.lora_2.linear1.weight', random([RANK, F], 1)),
    'tensor model.layers.0.mlp.lora_2.linear1.weight: found a tensor of this name, wanted only the experts and gates',
  ],
  [
    'of more layers than the base',
    (all) => all.set(`${inModel(2, 'alpha')}.linear_0.weight`, random([WIDTH, F], 1)),
    'tensor model.layers.2.mlp.router_layers.alpha_.linear_0.weight: found a tensor of this name, wanted only',
  ],
])('refuses a checkpoint %s', async (_what, change, message) => {
  const tensors = modelTensors();
  change(tensors);
  const source = await opened(tensors);
  await expect(readMidpo(source, base.config)).rejects.toThrow(`model.safetensors: ${message}`);
  await source.close();
});
