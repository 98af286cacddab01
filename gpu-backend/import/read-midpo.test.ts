/**
 * A random tiny checkpoint with the names and shapes of MidPO's model class, read and served,
 * against a slow computation that keeps the gates' three layers apart.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import { elementCount, type Tensor } from '#gpu-backend/model/tensor.ts';
import { type GatesAt, slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { writeSafetensors } from '#gpu-backend/model/write-safetensors.ts';
import { isMidpoTensor, readMidpo, readMidpoRouter } from './read-midpo.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'midpo-'));
});
afterAll(() => rm(root, { recursive: true }));

const base = tinyBundle();
const { hidden_size: d, intermediate_size: F, num_hidden_layers: LAYERS } = base.config;
const [RANK, WIDTH] = [4, 7];
const inModel = (layer: number, gate: string) => `model.layers.${layer}.mlp.router_layers.${gate}_`;
const inRouterFile = (layer: number, gate: string) => `layer_${layer}_${gate}`;

/** Numbers that look random and never change: those of a sine. */
let next = 0;
const random = (shape: number[], scale: number): Tensor => ({
  shape,
  data: Float32Array.from({ length: elementCount(shape) }, () => scale * Math.sin(++next * 12.9898) ** 3),
});

function routerTensors(nameOf: typeof inModel): Map<string, Tensor> {
  next = 1000;
  const tensors = new Map<string, Tensor>();
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const gate of ['alpha', 'beta']) {
      const shapes = [
        [WIDTH, F],
        [F, WIDTH],
        [1, F],
      ];
      for (const [i, shape] of shapes.entries()) {
        tensors.set(`${nameOf(layer, gate)}.linear_${i}.weight`, random(shape, 1));
        tensors.set(`${nameOf(layer, gate)}.linear_${i}.bias`, random([shape[0]!], 0.5));
      }
    }
  }
  return tensors;
}

/** The whole model: the base, both experts, the router. */
function modelTensors(): Map<string, Tensor> {
  next = 0;
  const tensors = new Map(base.weights);
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const lora of ['lora_0', 'lora_1']) {
      tensors.set(`model.layers.${layer}.mlp.${lora}.linear1.weight`, random([RANK, F], 0.3));
      tensors.set(`model.layers.${layer}.mlp.${lora}.linear2.weight`, random([d, RANK], 0.3));
    }
  }
  return new Map([...tensors, ...routerTensors(inModel)]);
}

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
  const source = await opened(tensors);
  const { experts, router } = await readMidpo(source, base.config);
  expect(source.names().filter((name) => !isMidpoTensor(name))).toEqual([...base.weights.keys()]);
  await source.close();
  const dir = join(root, 'bundle');
  await writeBundle(dir, { ...base, experts, routers: { layers: router, logits: null } }, { dtype: 'f32' });

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

  const engine = await OnnxExperts.create(bundle, { threads: 1 });
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
    `tensor ${GATE}: found NaN at element 0, wanted finite numbers`,
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
