import { describe, expect, test } from 'vitest';
import { float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { linearModules } from '#gpu-backend/model/linear-modules.ts';
import { slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { createRandom } from '../data/random.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { emptyTensors } from '../stages/base-model.ts';
import { fillNormal } from '../stages/sft.ts';
import { expectGradients } from '../testing/numeric-gradient.ts';
import { slowBundle } from '../testing/slow-bundle.ts';
import { TINY, tinyWeights } from '../testing/tiny-model.ts';
import { buildDpoGraph, buildScoreGraph, dpoGraph } from './dpo-graph.ts';
import { frozenExpert, loraShapes, loraTensors, readTargets } from './lora.ts';

const [rank, alpha] = [2, 4];
const base = tinyWeights();
const EVERY = readTargets(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'], TINY);
const drawn = (targets: readonly string[]) => {
  const parameters = emptyTensors(loraShapes(TINY, rank, targets));
  for (const [name, { data }] of parameters) fillNormal(data, 0.3, createRandom(`lora/${name}`));
  return parameters;
};

test('targets may be short or whole names, and come in the order of the decoder', () => {
  expect(readTargets(['mlp.down_proj', 'q_proj', 'q_proj'], TINY)).toEqual(['self_attn.q_proj', 'mlp.down_proj']);
  expect(EVERY).toEqual([...new Set([...linearModules(TINY).values()].map(({ kind }) => kind))]);
  const kinds = EVERY.join(', ');
  expect(() => readTargets(['proj', 'lm_head', 'q_proj'], TINY)).toThrow(
    new Error(`targets: found "proj", "lm_head", wanted linear modules of a layer: ${kinds}`),
  );
  expect(() => readTargets([], TINY)).toThrow(`targets: found none, wanted linear modules of a layer: ${kinds}`);
});

test('the tensors of a target have its shapes and its name, by default those of down_proj', () => {
  expect([...loraShapes(TINY, rank)].slice(0, 2)).toEqual([
    ['lora.0.mlp.down_proj.a', [24, rank]],
    ['lora.0.mlp.down_proj.b', [rank, 16]],
  ]);
  expect([...loraShapes(TINY, rank, ['self_attn.k_proj'])]).toEqual([
    ['lora.0.self_attn.k_proj.a', [16, rank]],
    ['lora.0.self_attn.k_proj.b', [rank, 8]],
    ['lora.1.self_attn.k_proj.a', [16, rank]],
    ['lora.1.self_attn.k_proj.b', [rank, 8]],
  ]);
});

test('an expert is the same tensors by the names of its modules', () => {
  const tensors = drawn(EVERY);
  const expert = frozenExpert(tensors, TINY, EVERY);
  expect(expert.get('model.layers.1.self_attn.o_proj')!.a).toBe(tensors.get('lora.1.self_attn.o_proj.a'));
  expect(expert.size).toBe(7 * TINY.num_hidden_layers);
  expect(new Map(loraTensors(expert, TINY))).toEqual(tensors);
});

describe.each([
  ['every linear module', EVERY],
  ['queries and values', ['self_attn.q_proj', 'self_attn.v_proj']],
])('LoRA on %s', (_, targets) => {
  const [rows, length] = [2, 6];
  const random = createRandom('lora');
  const ids = Array.from({ length: rows * length }, () => random.int(3, TINY.vocab_size - 1));
  const dims = [rows, length];
  const feeds = {
    ids: int64(dims, ids),
    targets: int64(
      dims,
      ids.map((__, i) => ids[(i + 1) % ids.length]!),
    ),
    loss_weights: float32(
      dims,
      Float32Array.from(ids, (__, i) => Number(i % length > 1 && i % length < 5)),
    ),
  };
  const options = { base, rank, loraScale: alpha / rank, targets };

  test('computes what the slow decoder computes', async () => {
    const lora = drawn(targets);
    const session = await GraphSession.create(buildScoreGraph(TINY, options), { threads: 1 });
    const { logprobs } = await session.run({ ...feeds, ...parameterFeeds(lora) });
    const expert = frozenExpert(lora, TINY, targets);
    const bundle = slowBundle(base, { experts: { safety: expert, helpfulness: expert }, rank, alpha });
    for (let row = 0; row < rows; row++) {
      const own = ids.slice(row * length, (row + 1) * length);
      let sum = 0;
      for (const t of [2, 3, 4]) {
        const { logits } = slowDecoder(bundle, own.slice(0, t + 1), () => ({ safety: 1, helpfulness: 0 }));
        sum += logits[own[t + 1]!]! - Math.log(logits.reduce((all, x) => all + Math.exp(x), 0));
      }
      expect(logprobs![row]!).toBeCloseTo(sum, 4);
    }
    await session.release();
  });

  test('has gradients that match finite differences', async () => {
    const lora = drawn(targets);
    const session = await GraphSession.create(buildDpoGraph(TINY, { ...options, beta: 0.5, nllWeight: 0.2 }), {
      threads: 1,
    });
    const pairs = {
      ...feeds,
      reference: float32([rows], Float32Array.of(-9, -11)),
      margin: float32([1], Float32Array.of(0.2)),
    };
    await expectGradients(lora, () => session.run({ ...pairs, ...parameterFeeds(lora) }));
    await session.release();
  });
});

test('no gradient is computed below the lowest adapter: layer 0 up to its down_proj needs none', () => {
  const batch = { rows: 2, length: 6, answers: 6 };
  const options = { base, rank, loraScale: 1, beta: 0.1, nllWeight: 0, batch };
  const readers = (targets: readonly string[]) =>
    dpoGraph(TINY, { ...options, targets })
      .operators()
      .filter(({ inputs }) => inputs.some(({ name }) => name === 'model.layers.0.mlp.up_proj.weight')).length;
  expect(readers(['mlp.down_proj'])).toBe(1);
  expect(readers(['self_attn.q_proj'])).toBe(2);
});
