import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Expert } from '../model/adapter.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { proposeWeight } from '../model/propose-weight.ts';
import { slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { bundleVocabulary } from './bundle-vocabulary.ts';
import type { NewRow, RowOutput, RowSource } from './experts.ts';
import { OnnxExperts } from './onnx-experts.ts';
import { collect, request, testEngine } from './testing/engine-contract.ts';
import { startWorkerEngine } from './worker-engine.ts';

let root: string;
let dir: string;
let routedDir: string;
/** The same model without routers and with both. */
let bundle: Bundle;
let routed: Bundle;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'engine-'));
  dir = join(root, 'tiny');
  routedDir = join(root, 'routed');
  await writeBundle(dir, tinyBundle());
  await writeBundle(routedDir, tinyBundle({ routers: true }));
  [bundle, routed] = [await loadBundle(dir), await loadBundle(routedDir)];
});
afterAll(() => rm(root, { recursive: true }));

/** f32 sums in another order: logits of size ~5 agree to about six digits. */
const TOLERANCE = 1e-4;

function expectClose(found: Float32Array, wanted: Float32Array): void {
  expect(found.length).toBe(wanted.length);
  const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
  expect(worst).toBeLessThan(TOLERANCE);
}

const safety: RowSource = { kind: 'safety' };
const helpfulness: RowSource = { kind: 'helpfulness' };
const logitsOf = (outputs: readonly RowOutput[], row = 0) => outputs[row]!.logits;

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
    const rows = await OnnxExperts.create(bundle, { threads: 1 });
    let stepwise = await rows.add([{ source: safety, ids: long.slice(0, 1) }]);
    for (const id of long.slice(1)) stepwise = await rows.advance([{ source: safety, id }]);
    rows.keep([]);
    const whole = await rows.add([{ source: safety, ids: long }]);
    expectClose(logitsOf(stepwise), logitsOf(whole));
    await rows.close();
  });

  test('each row of a batch gets the logits it gets alone, while others join, advance and leave', async () => {
    const batch = await OnnxExperts.create(bundle, { threads: 1 });
    const single = await OnnxExperts.create(bundle, { threads: 1 });
    const alone = async (row: NewRow) => {
      single.keep([]);
      return logitsOf(await single.add([row])).slice();
    };
    const a: NewRow = { source: safety, ids: long.slice(0, 9) };
    const b: NewRow = { source: helpfulness, ids: long.slice(0, 3) };
    const c: NewRow = { source: helpfulness, ids: long.slice(20, 62) };

    let outputs = await batch.add([a, b]);
    expectClose(logitsOf(outputs, 0), await alone(a));
    expectClose(logitsOf(outputs, 1), await alone(b));
    expectClose(logitsOf(await batch.add([c])), await alone(c));

    const step = (row: NewRow, ...ids: number[]): NewRow => ({ ...row, ids: [...row.ids, ...ids] });
    outputs = await batch.advance([
      { source: safety, id: 100 },
      { source: helpfulness, id: 101 },
      { source: helpfulness, id: 102 },
    ]);
    expectClose(logitsOf(outputs, 0), await alone(step(a, 100)));
    expectClose(logitsOf(outputs, 1), await alone(step(b, 101)));
    expectClose(logitsOf(outputs, 2), await alone(step(c, 102)));

    batch.keep([2, 0]);
    outputs = await batch.advance([
      { source: helpfulness, id: 110 },
      { source: safety, id: 111 },
    ]);
    expectClose(logitsOf(outputs, 0), await alone(step(c, 102, 110)));
    expectClose(logitsOf(outputs, 1), await alone(step(a, 100, 111)));
    expect(batch.rowCount).toBe(2);
    await Promise.all([batch.close(), single.close()]);
  });

  test('an expert beside the weights is the expert merged into them: W + (alpha / r) B A', async () => {
    const rows = await OnnxExperts.create(bundle, { threads: 1 });
    const beside = await rows.add(bundle.experts.map(({ role }) => ({ source: { kind: role }, ids: long })));
    for (const [row, expert] of bundle.experts.entries()) {
      const merged = await OnnxExperts.create({
        ...bundle,
        weights: mergeExpert(bundle, expert),
        experts: [muted(expert)],
      });
      const outputs = await merged.add([{ source: { kind: expert.role }, ids: long }]);
      expectClose(logitsOf(beside, row), logitsOf(outputs));
      await merged.close();
    }
    await rows.close();
  });

  test('the experts differ, and one whose B is zero is the base model', async () => {
    const [first, second] = bundle.experts as [Expert, Expert];
    const half = await OnnxExperts.create({ ...bundle, experts: [first, muted(second)] }, { threads: 1 });
    const base = await OnnxExperts.create({ ...bundle, experts: [muted(first), muted(second)] }, { threads: 1 });
    const both = await half.add([
      { source: safety, ids: long },
      { source: helpfulness, ids: long },
    ]);
    const plain = logitsOf(await base.add([{ source: safety, ids: long }]));
    expectClose(logitsOf(both, 1), plain);
    expect(logitsOf(both, 0).some((x, i) => Math.abs(x - plain[i]!) > 0.1)).toBe(true);
    await Promise.all([half.close(), base.close()]);
  });

  test('hidden states and gates come only where they are asked for', async () => {
    const rows = await OnnxExperts.create(routed, { threads: 1 });
    const ids = long.slice(0, 5);
    const bounds = { floor: 0, ceiling: 1 };
    const outputs = await rows.add([
      { source: safety, ids },
      { source: { kind: 'helpfulness', hidden: true }, ids },
      { source: { kind: 'layers', bounds }, ids },
    ]);
    expect(outputs.map(({ hidden }) => hidden?.length ?? null)).toEqual([null, bundle.config.hidden_size, null]);
    expect(outputs.map(({ alpha }) => alpha !== null)).toEqual([false, false, true]);
    await rows.close();
  });

  test('a layers row of a bundle without a layers router is a mistake that says so', async () => {
    const rows = await OnnxExperts.create(bundle, { threads: 1 });
    const source: RowSource = { kind: 'layers', bounds: { floor: 0, ceiling: 1 } };
    await expect(rows.add([{ source, ids: [1] }])).rejects.toThrow('a layers row needs a bundle with a layers router');
    await rows.close();
  });
});

testEngine('onnxruntime in its own thread', {
  create: (limits = {}) => startWorkerEngine({ dir: routedDir, threads: 1, limits }),
  createWithoutRouters: () => startWorkerEngine({ dir, threads: 1 }),
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

  test('proposes the weights of the bundle’s logits router, and without one its default weight', async () => {
    const { promptIds } = request();
    const hidden = (role: Expert['role']) =>
      Float32Array.from(slowDecoder(routed, promptIds, () => ({ safety: 0, helpfulness: 0, [role]: 1 })).hidden);
    const expected = proposeWeight(routed.routers.logits!, hidden('safety'), hidden('helpfulness'));
    const weights = async (from: string) => {
      const engine = await startWorkerEngine({ dir: from, threads: 1 });
      const { tokens } = await collect(engine.generate(request({ maxTokens: 6 })));
      await engine.close();
      return tokens.map(({ weight }) => weight);
    };
    const [first, ...rest] = await weights(routedDir);
    // Hidden states of two float32 layers, into one sigmoid.
    expect(first).toBeCloseTo(expected, 4);
    expect(new Set(rest).size).toBeGreaterThan(1);
    expect(await weights(dir)).toEqual(Array(6).fill(bundle.manifest.default_weight));
  });

  test('says what is wrong with a bundle instead of starting', async () => {
    await expect(startWorkerEngine({ dir: join(dir, 'nowhere') })).rejects.toThrow(
      /^config\.json: the file is missing/,
    );
  });
});
