/**
 * Compares experts of different ranks, scales and layers, as PEFT saves them, to the slow decoder
 * with the scale straight from PEFT's definition.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { type GatesAt, gateOf, slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import type { Source } from './experts.ts';
import { OnnxExperts } from './onnx-experts.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'uneven-'));
});
afterAll(() => rm(root, { recursive: true }));

/** A bundle with a safety expert of this rank and config, and a helpfulness expert of rank 4. */
async function bundleWith({ rank, config }: { rank: number; config: object }): Promise<Bundle> {
  const dir = await mkdtemp(join(root, 'bundle-'));
  const donor = await mkdtemp(join(root, 'donor-'));
  await writeBundle(dir, tinyBundle({ routers: true }), { dtype: 'f32' });
  await writeBundle(donor, tinyBundle({ rank, seed: 2 }), { dtype: 'f32' });
  const folder = join(dir, 'experts/safety');
  await cp(join(donor, 'experts/safety'), folder, { recursive: true });
  const file = join(folder, 'adapter_config.json');
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...config }));
  return loadBundle(dir);
}

const prompt = Array.from({ length: 20 }, (_, i) => 10 + ((i * 41) % 200));

/** f32 sums against f64 ones through two layers: numbers of about 5 agree to about five digits. */
const TOLERANCE = 2e-4;

test.each<[string, { rank: number; config: object; scales: [number, number] }]>([
  ['a smaller rank', { rank: 2, config: {}, scales: [2, 2] }],
  ['a larger rank', { rank: 7, config: {}, scales: [2, 2] }],
  ['use_rslora', { rank: 9, config: { use_rslora: true, lora_alpha: 6 }, scales: [2, 2] }],
  [
    'an alpha of its own in one layer',
    { rank: 4, config: { lora_alpha: 4, alpha_pattern: { 'layers.1.mlp.down_proj': 12 } }, scales: [1, 3] },
  ],
])('an expert with %s has the logits of the slow decoder, in both modes', async (_what, { scales, ...expert }) => {
  const bundle = await bundleWith(expert);
  // The oracle's scales are this table's.
  const wanted: Bundle = {
    ...bundle,
    experts: bundle.experts.map((one) =>
      one.role === 'safety'
        ? {
            ...one,
            modules: new Map([...one.modules].map(([name, lora], i) => [name, { ...lora, scale: scales[i]! }])),
          }
        : one,
    ),
  };
  const routed: GatesAt = ({ layer, h }) => {
    const { alpha, beta } = bundle.routers.layers!.layers[layer]!;
    return { safety: gateOf(alpha, h), helpfulness: gateOf(beta, h) };
  };
  const sources: [Source, GatesAt][] = [
    ['safety', () => ({ safety: 1, helpfulness: 0 })],
    ['helpfulness', () => ({ safety: 0, helpfulness: 1 })],
    ['layers', routed],
  ];
  const experts = await OnnxExperts.create(bundle, { threads: 1 });
  const steps = sources.map(([source]) => ({
    sequence: experts.open(source),
    ids: prompt,
    ...(source === 'layers' && { bounds: { floor: 0, ceiling: 1 } }),
  }));
  const outputs = await Promise.all(experts.append(steps));
  for (const [i, [, gates]] of sources.entries()) {
    const { row } = outputs[i]!;
    if (!('logits' in row)) throw new Error('onnxruntime gives whole rows');
    const { logits } = slowDecoder(wanted, prompt, gates);
    const worst = row.logits.reduce((most, x, at) => Math.max(most, Math.abs(x - logits[at]!)), 0);
    expect(worst).toBeLessThan(TOLERANCE);
  }
  await experts.dispose();
});

test('a layer that an expert leaves alone is the base there', async () => {
  const bundle = await bundleWith({ rank: 4, config: {} });
  const [safety, helpfulness] = bundle.experts as [Bundle['experts'][number], Bundle['experts'][number]];
  const modules = new Map([...safety.modules].slice(0, 1));
  const partial: Bundle = { ...bundle, experts: [{ ...safety, modules }, helpfulness] };
  const experts = await OnnxExperts.create(partial, { threads: 1 });
  const [output] = await Promise.all(experts.append([{ sequence: experts.open('safety'), ids: prompt }]));
  // The oracle has the whole expert, with its gate shut in layer 1.
  const { logits } = slowDecoder(bundle, prompt, ({ layer }) => ({ safety: layer === 0 ? 1 : 0, helpfulness: 0 }));
  if (!('logits' in output!.row)) throw new Error('onnxruntime gives whole rows');
  const worst = output!.row.logits.reduce((most, x, at) => Math.max(most, Math.abs(x - logits[at]!)), 0);
  expect(worst).toBeLessThan(TOLERANCE);
  await experts.dispose();
});
