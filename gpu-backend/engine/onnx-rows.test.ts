import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Expert } from '../model/adapter.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { bundleVocabulary } from './bundle-vocabulary.ts';
import { OnnxRows } from './onnx-rows.ts';
import type { NewRow } from './row-model.ts';
import { collect, request, testEngine } from './testing/engine-contract.ts';
import { startWorkerEngine } from './worker-engine.ts';

let dir: string;
let bundle: Bundle;
beforeAll(async () => {
  dir = join(await mkdtemp(join(tmpdir(), 'engine-')), 'tiny');
  await writeBundle(dir, tinyBundle());
  bundle = await loadBundle(dir);
});
afterAll(() => rm(join(dir, '..'), { recursive: true }));

/** f32 sums in another order: logits of size ~5 agree to about six digits. */
const TOLERANCE = 1e-4;

function expectClose(found: Float32Array, wanted: Float32Array): void {
  expect(found.length).toBe(wanted.length);
  const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
  expect(worst).toBeLessThan(TOLERANCE);
}

const rowOf = (logits: Float32Array, row: number) =>
  logits.subarray(row * bundle.config.vocab_size, (row + 1) * bundle.config.vocab_size);

/** The expert with no effect: B is zero. */
const muted = (expert: Expert): Expert => ({
  ...expert,
  layers: expert.layers.map(({ a, b }) => ({ a, b: { ...b, data: new Float32Array(b.data.length) } })),
});

/** The base weights with one expert added into every down_proj, by the definition. */
function mergeExpert({ weights, config }: Bundle, { layers, alpha, rank }: Expert): Bundle['weights'] {
  const { hidden_size: d, intermediate_size: F } = config;
  const merged = new Map(weights);
  layers.forEach(({ a, b }, layer) => {
    const name = `model.layers.${layer}.mlp.down_proj.weight`;
    const data = weights.get(name)!.data.slice(); // [d, F]
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < F; j++) {
        for (let r = 0; r < rank; r++) data[i * F + j]! += (alpha / rank) * b.data[i * rank + r]! * a.data[r * F + j]!;
      }
    }
    merged.set(name, { shape: [d, F], data });
  });
  return merged;
}

describe('rows on onnxruntime', () => {
  const long = Array.from({ length: 70 }, (_, i) => 10 + ((i * 37) % 200));

  test('a prompt fed token by token gives the logits of the whole prompt at once, past the growth of the cache', async () => {
    const rows = await OnnxRows.create(bundle, { threads: 1 });
    let stepwise = await rows.add([{ expert: 'safety', ids: long.slice(0, 1) }]);
    for (const id of long.slice(1)) stepwise = await rows.advance([id]);
    rows.keep([]);
    const whole = await rows.add([{ expert: 'safety', ids: long }]);
    expectClose(stepwise, whole);
    await rows.close();
  });

  test('each row of a batch gets the logits it gets alone, while others join, advance and leave', async () => {
    const batch = await OnnxRows.create(bundle, { threads: 1 });
    const single = await OnnxRows.create(bundle, { threads: 1 });
    const alone = async ({ expert, ids }: NewRow) => {
      single.keep([]);
      return (await single.add([{ expert, ids }])).slice();
    };
    const a: NewRow = { expert: 'safety', ids: long.slice(0, 9) };
    const b: NewRow = { expert: 'helpfulness', ids: long.slice(0, 3) };
    const c: NewRow = { expert: 'helpfulness', ids: long.slice(20, 62) };

    let logits = await batch.add([a, b]);
    expectClose(rowOf(logits, 0), await alone(a));
    expectClose(rowOf(logits, 1), await alone(b));
    expectClose(await batch.add([c]), await alone(c));

    const step = (row: NewRow, ...ids: number[]): NewRow => ({ ...row, ids: [...row.ids, ...ids] });
    logits = await batch.advance([100, 101, 102]);
    expectClose(rowOf(logits, 0), await alone(step(a, 100)));
    expectClose(rowOf(logits, 1), await alone(step(b, 101)));
    expectClose(rowOf(logits, 2), await alone(step(c, 102)));

    batch.keep([2, 0]);
    logits = await batch.advance([110, 111]);
    expectClose(rowOf(logits, 0), await alone(step(c, 102, 110)));
    expectClose(rowOf(logits, 1), await alone(step(a, 100, 111)));
    expect(batch.rowCount).toBe(2);
    await Promise.all([batch.close(), single.close()]);
  });

  test('an expert beside the weights is the expert merged into them: W + (alpha / r) B A', async () => {
    const rows = await OnnxRows.create(bundle, { threads: 1 });
    const beside = await rows.add(bundle.experts.map(({ role }) => ({ expert: role, ids: long })));
    for (const [row, expert] of bundle.experts.entries()) {
      const merged = await OnnxRows.create({
        ...bundle,
        weights: mergeExpert(bundle, expert),
        experts: [muted(expert)],
      });
      expectClose(rowOf(beside, row), await merged.add([{ expert: expert.role, ids: long }]));
      await merged.close();
    }
    await rows.close();
  });

  test('the experts differ, and one whose B is zero is the base model', async () => {
    const [safety, helpfulness] = bundle.experts as [Expert, Expert];
    const half = await OnnxRows.create({ ...bundle, experts: [safety, muted(helpfulness)] }, { threads: 1 });
    const base = await OnnxRows.create({ ...bundle, experts: [muted(safety), muted(helpfulness)] }, { threads: 1 });
    const both = await half.add([
      { expert: 'safety', ids: long },
      { expert: 'helpfulness', ids: long },
    ]);
    const plain = await base.add([{ expert: 'safety', ids: long }]);
    expectClose(rowOf(both, 1), plain);
    expect(rowOf(both, 0).some((x, i) => Math.abs(x - plain[i]!) > 0.1)).toBe(true);
    await Promise.all([half.close(), base.close()]);
  });
});

testEngine('onnxruntime in its own thread', {
  create: (limits = {}) => startWorkerEngine({ dir, threads: 1, limits }),
});

describe('an engine in its own thread', () => {
  test('draws no control token but the end, however hot the sampling', async () => {
    const { banned, eos } = bundleVocabulary(bundle);
    expect(banned).toEqual([0, 1, 2, 3, 4, 267, 268, 269, 270, 271]);
    const engine = await startWorkerEngine({ dir, threads: 1 });
    for (let seed = 0; seed < 4; seed++) {
      const { ids } = await collect(engine.generate(request({ maxTokens: null, sampling: { seed, temperature: 2 } })));
      expect(ids.slice(0, -1).filter((id) => banned.includes(id) || id === eos)).toEqual([]);
    }
    await engine.close();
  });

  test('says what is wrong with a bundle instead of starting', async () => {
    await expect(startWorkerEngine({ dir: join(dir, 'nowhere') })).rejects.toThrow(
      /^config\.json: the file is missing/,
    );
  });
});
