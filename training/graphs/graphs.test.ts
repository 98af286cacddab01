/**
 * Checks the training graphs against slow but obvious arithmetic, finite differences and the
 * serving graph.
 */
import { describe, expect, test } from 'vitest';
import { type Feed, float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import type { BaseStorage } from '#gpu-backend/model/base-storage.ts';
import { type DecoderConfig, headDim } from '#gpu-backend/model/config.ts';
import { floatWeights } from '#gpu-backend/model/decoder.ts';
import { downProj } from '#gpu-backend/model/linear-modules.ts';
import { buildServingGraph } from '#gpu-backend/model/serving-graph.ts';
import { createRandom } from '../data/random.ts';
import { AdamW, type Parameters } from '../optim/adamw.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { emptyTensors } from '../stages/base-model.ts';
import { expectGradients } from '../testing/numeric-gradient.ts';
import { TINY, tinyConfig, tinyWeights } from '../testing/tiny-model.ts';
import { buildDpoGraph, buildScoreGraph } from './dpo-graph.ts';
import { loraShapes } from './lora.ts';
import { buildSftGraph } from './sft-graph.ts';

/** Training's weights are `[in, out]`. */
const inMatMulsLayout =
  (weights: Parameters): BaseStorage =>
  (graph) =>
    floatWeights((name) => {
      const { shape, data } = weights.get(name)!;
      return graph.once(name, () => graph.initializer(name, 'float', shape, data));
    }, TINY);

const [rows, length] = [2, 6];
const random = createRandom('graphs');
const draw = () => Array.from({ length: rows * length }, () => random.int(3, TINY.vocab_size - 1));
/** Rows that began alike would ask for two different tokens after the same one. */
const drawRows = () => draw().map((id, i) => (i % length === 0 ? 3 + i / length : id));
const batch = (weight = 1 / (rows * length)) => ({
  ids: int64([rows, length], drawRows()),
  targets: int64([rows, length], draw()),
  loss_weights: float32([rows, length], new Float32Array(rows * length).fill(weight)),
});
const shapesOf = (parameters: Parameters) =>
  new Map([...parameters].map(([name, { shape: dims }]) => [name, [...dims]]));

describe.each([
  ['tied head', TINY],
  ['untied head', { ...TINY, tie_word_embeddings: false }],
  ['one key head for all queries', { ...TINY, num_key_value_heads: 1 }],
  ['a window of 3 tokens', tinyConfig({ model_type: 'mistral', sliding_window: 3 })],
  ['biases on queries, keys and values', tinyConfig({ model_type: 'qwen2' })],
  ['norms on queries and keys, wide heads', tinyConfig({ model_type: 'qwen3', head_dim: 6 })],
] as [string, DecoderConfig][])('the supervised graph, %s', (_, config) => {
  test('has gradients that match finite differences', async () => {
    const parameters = tinyWeights(config);
    const session = await GraphSession.create(buildSftGraph(config, { shapes: shapesOf(parameters) }), {
      threads: 1,
    });
    const feeds = batch();
    await expectGradients(parameters, () => session.run({ ...feeds, ...parameterFeeds(parameters) }));
  });

  test('memorises one batch: the loss falls to nearly zero', async () => {
    const parameters = tinyWeights(config);
    const session = await GraphSession.create(buildSftGraph(config, { shapes: shapesOf(parameters) }), {
      threads: 1,
    });
    const feeds = batch();
    const optimizer = await AdamW.create(parameters);
    const losses: number[] = [];
    for (let step = 1; step <= 150; step++) {
      const outputs = await session.run({ ...feeds, ...parameterFeeds(parameters) });
      losses.push(outputs.loss![0]!);
      const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
      optimizer.step(gradients, { step, learningRate: 0.02 });
    }
    expect(losses[0]!).toBeGreaterThan(2);
    expect(losses.at(-1)!).toBeLessThan(0.02);
  });
});

test('padding a row does not change its loss', async () => {
  const parameters = tinyWeights();
  const loss = async (rowLength: number, values: number[], weights: number[]) => {
    const model = buildSftGraph(TINY, {
      shapes: shapesOf(parameters),
      withGradients: false,
    });
    const session = await GraphSession.create(model, { threads: 1 });
    const pad = [...values, ...new Array(rowLength - values.length).fill(0)];
    const padded = Float32Array.from({ length: rowLength }, (_, i) => weights[i] ?? 0);
    const dims = [1, rowLength];
    const feeds = { ids: int64(dims, pad), targets: int64(dims, pad), loss_weights: float32(dims, padded) };
    return (await session.run({ ...feeds, ...parameterFeeds(parameters) })).loss![0]!;
  };
  const alone = await loss(4, [1, 5, 9, 4], [0.25, 0.25, 0.25, 0.25]);
  expect(await loss(9, [1, 5, 9, 4], [0.25, 0.25, 0.25, 0.25])).toBeCloseTo(alone, 5);
});

describe('the preference graph', () => {
  const [rank, beta] = [2, 0.1];
  const base = tinyWeights();
  const options = { base, rank, loraScale: 2 };
  const dims = [4, length];
  const values = Array.from({ length: 4 * length }, () => random.int(3, TINY.vocab_size - 1));
  const feeds = {
    ids: int64(dims, values),
    targets: int64(
      dims,
      values.map((_, i) => values[(i + 1) % values.length]!),
    ),
    loss_weights: float32(
      dims,
      Float32Array.from(values, (_, i) => Number(i % length > 1)),
    ),
  };
  const lora = () => {
    const parameters = emptyTensors(loraShapes(TINY, rank));
    for (const [name, { data }] of parameters) if (name.endsWith('.a')) data.set(data.map((_, i) => Math.sin(i + 1)));
    return parameters;
  };

  test('has loss ln 2 at the start, when the expert still equals the reference', async () => {
    const score = await GraphSession.create(buildScoreGraph(TINY, options), { threads: 1 });
    const { logprobs: reference } = await score.run({ ...feeds, ...parameterFeeds(lora()) });
    const session = await GraphSession.create(buildDpoGraph(TINY, { ...options, beta, nllWeight: 0 }), { threads: 1 });
    const { loss, delta } = await session.run({
      ...feeds,
      ...parameterFeeds(lora()),
      reference: float32([4], reference!),
      margin: float32([2], new Float32Array(2)),
    });
    expect(loss![0]).toBeCloseTo(Math.LN2, 6);
    expect([...delta!]).toEqual([0, 0]);
  });

  test('matches the published formula on its own log-probabilities, and learns the preference', async () => {
    const session = await GraphSession.create(buildDpoGraph(TINY, { ...options, beta, nllWeight: 0 }), { threads: 1 });
    const parameters = lora();
    const optimizer = await AdamW.create(parameters);
    const reference = Float32Array.from([-9, -11, -10, -12]);
    const margin = Float32Array.from([0.4, 0]);
    let last = Number.POSITIVE_INFINITY;
    for (let step = 1; step <= 60; step++) {
      const outputs = await session.run({
        ...feeds,
        ...parameterFeeds(parameters),
        reference: float32([4], reference),
        margin: float32([2], margin),
      });
      const lp = outputs.logprobs!;
      const terms = [0, 1].map((i) => {
        const difference = lp[i]! - reference[i]! - (lp[i + 2]! - reference[i + 2]!);
        return -Math.log(1 / (1 + Math.exp(-(beta * difference - margin[i]!))));
      });
      expect(outputs.loss![0]).toBeCloseTo((terms[0]! + terms[1]!) / 2, 5);
      last = outputs.loss![0]!;
      const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
      optimizer.step(gradients, { step, learningRate: 0.02 });
    }
    expect(last).toBeLessThan(Math.LN2 / 3);
  });
});

test('the serving graph, fed token by token, gives the same log-probabilities as the training graph', async () => {
  const [rank, loraScale] = [2, 2];
  const base = tinyWeights();
  const lora = emptyTensors(loraShapes(TINY, rank));
  for (const { data } of lora.values()) data.set(data.map((_, i) => Math.sin(i + 1) * 0.3));
  const ids = [1, 5, 9, 4, 7, 3, 12];
  const n = ids.length - 1;
  const score = await GraphSession.create(buildScoreGraph(TINY, { base, rank, loraScale }), { threads: 1 });
  const expected: number[] = [];
  for (let i = 0; i < n; i++) {
    const only = Float32Array.from({ length: n }, (_, j) => Number(i === j));
    const dims = [1, n];
    const feeds = {
      ids: int64(dims, ids.slice(0, n)),
      targets: int64(dims, ids.slice(1)),
      loss_weights: float32(dims, only),
    };
    expected.push((await score.run({ ...feeds, ...parameterFeeds(lora) })).logprobs![0]!);
  }

  const modules = new Map(
    Array.from({ length: TINY.num_hidden_layers }, (_, layer) => {
      const part = (of: 'a' | 'b') => lora.get(`lora.${layer}.mlp.down_proj.${of}`)!;
      const [a, b] = [part('a'), part('b')];
      const scaled = { shape: b.shape, data: b.data.map((x) => x * loraScale) };
      return [downProj(layer), { ranks: [rank], a, b: scaled }];
    }),
  );
  const experts = { count: 1, modules, router: null };
  const model = buildServingGraph(TINY, { base: inMatMulsLayout(base), lora: experts });
  const serving = await GraphSession.create(model, { threads: 1 });
  const [heads, kvHeads, hd] = [TINY.num_attention_heads, TINY.num_key_value_heads, headDim(TINY)];
  // Position 0 of the past is a masked placeholder, because a past must not be empty.
  const past = new Map<string, number[]>();
  const found: number[] = [];
  for (let t = 0; t < n; t++) {
    const mask = Float32Array.from({ length: t + 2 }, (_, i) => (i === 0 ? -1e9 : 0));
    const feeds: Record<string, Feed> = {
      ids: int64([1], [ids[t]!]),
      positions: int64([1, 1], [t]),
      mask: float32([1, 1, 1, 1, t + 2], mask),
      query_shape: int64([5], [1, 1, kvHeads, heads / kvHeads, hd]),
      key_shape: int64([5], [1, 1, kvHeads, 1, hd]),
      fold: int64([5], [0, 0, heads / kvHeads, 1, 0]),
      parts: int64([2], [t + 1, 1]),
      gates_low: float32([1, 1], Float32Array.of(1)),
      wanted: int64([1], [0]),
    };
    for (let layer = 0; layer < TINY.num_hidden_layers; layer++) {
      for (const kv of ['k', 'v']) {
        const key = `past_${kv}.${layer}`;
        const rowsSoFar = past.get(key) ?? new Array<number>(kvHeads * hd).fill(0);
        past.set(key, rowsSoFar);
        feeds[key] = float32([t + 1, 1, kvHeads, 1, hd], Float32Array.from(rowsSoFar));
      }
    }
    const outputs = await serving.run(feeds);
    for (let layer = 0; layer < TINY.num_hidden_layers; layer++) {
      for (const kv of ['k', 'v']) past.get(`past_${kv}.${layer}`)!.push(...outputs[`new_${kv}.${layer}`]!);
    }
    const logits = [...outputs.logits!];
    const logZ = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
    found.push(logits[ids[t + 1]!]! - logZ);
  }
  for (const [i, value] of found.entries()) expect(value).toBeCloseTo(expected[i]!, 4);
});
