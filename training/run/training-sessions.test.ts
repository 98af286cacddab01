import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { float32, int64 } from '#gpu-backend/graph/session.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { openStoredBase } from '#gpu-backend/model/stored-base.ts';
import { writeSafetensors } from '#gpu-backend/model/write-safetensors.ts';
import { createRandom } from '../data/random.ts';
import { buildDpoGraph } from '../graphs/dpo-graph.ts';
import type { FrozenBase } from '../graphs/frozen-weights.ts';
import { loraShapes } from '../graphs/lora.ts';
import type { GraphBatch } from '../graphs/training-inputs.ts';
import { emptyTensors, toHuggingFace } from '../stages/base-model.ts';
import { fillNormal } from '../stages/sft.ts';
import { TINY, tinyConfig, tinyWeights } from '../testing/tiny-model.ts';
import { parameterFeeds } from './run-step.ts';
import { trainingSessions } from './training-sessions.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-sessions-'));
});
afterAll(() => rm(dir, { recursive: true }));

const rank = 2;
const open = (base: FrozenBase, { config = TINY, batch }: { config?: DecoderConfig; batch?: GraphBatch } = {}) => {
  const options = { base, rank, loraScale: 2, beta: 0.1, nllWeight: 0.2, scoresToo: true };
  return trainingSessions(() => buildDpoGraph(config, { ...options, ...(batch && { batch }) }), {
    base,
    contextLength: config.max_position_embeddings,
    threads: 1,
  });
};
const lora = emptyTensors(loraShapes(TINY, rank));
for (const [name, { data }] of lora) fillNormal(data, 0.3, createRandom(name));

/** Only places from `from` on count. */
const feedsOf = (rows: number, length: number, { from = 2, wanted = length } = {}) => {
  const random = createRandom(`feeds/${rows}`);
  const ids = Array.from({ length: rows }, () => Array.from({ length: wanted }, () => random.int(3, 16)));
  const padded = ids.flatMap((row) => Array.from({ length }, (_, i) => row[i] ?? 0));
  const targets = ids.flatMap((row) => Array.from({ length }, (_, i) => row[i + 1] ?? 0));
  const weights = Float32Array.from(padded, (_, i) => Number(i % length >= from && i % length < wanted - 1));
  return {
    ids: int64([rows, length], padded),
    targets: int64([rows, length], targets),
    loss_weights: float32([rows, length], weights),
    reference: float32([rows], new Float32Array(rows).fill(-8)),
    margin: float32([rows / 2], new Float32Array(rows / 2).fill(0.1)),
    ...parameterFeeds(lora),
  };
};
const close = (found: Record<string, Float32Array>, wanted: Record<string, Float32Array>) => {
  expect(Object.keys(found).sort()).toEqual(Object.keys(wanted).sort());
  for (const [name, values] of Object.entries(wanted)) {
    expect(found[name], name).toHaveLength(values.length);
    for (const [i, value] of values.entries()) {
      expect(Math.abs(found[name]![i]! - value), name).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)));
    }
  }
};

test('one session computes for every shape what a graph made for that shape computes', async () => {
  const base = tinyWeights();
  const sessions = open(base);
  for (const [rows, length] of [
    [2, 6],
    [6, 5],
    [2, 9],
    [4, 16],
  ] as const) {
    const shape = { rows, length };
    const feeds = feedsOf(rows, length);
    const fixed = open(base, { batch: { ...shape, answers: rows * (length - 3) } });
    close(await (await sessions.train(shape)).run(feeds), await (await fixed.train(shape)).run(feeds));
    await fixed.release();
  }
  await sessions.release();
});

test('padding changes nothing', async () => {
  const sessions = open(tinyWeights());
  const run = async (length: number) =>
    (await sessions.train({ rows: 2, length })).run(feedsOf(2, length, { wanted: 6 }));
  close(await run(11), await run(6));
  await sessions.release();
});

test('scoring gives the same log-probabilities without gradients, and needs no input of the loss', async () => {
  const sessions = open(tinyWeights());
  const shape = { rows: 2, length: 6 };
  const { reference, margin, ...feeds } = feedsOf(2, 6);
  const trained = await (await sessions.train(shape)).run({ ...feeds, reference, margin });
  const scored = await (await sessions.score(shape)).run(feeds);
  expect(Object.keys(scored)).toEqual(['logprobs']);
  expect([...scored.logprobs!]).toEqual([...trained.logprobs!]);
  expect(trained['grad.lora.0.mlp.down_proj.a']).toHaveLength(24 * rank);
  await sessions.release();
  // A released session is made again.
  expect([...(await (await sessions.score(shape)).run(feeds)).logprobs!]).toEqual([...scored.logprobs!]);
  await sessions.release();
});

test.each([
  ['f32', 'tied head', TINY],
  ['f32', 'untied head', { ...TINY, tie_word_embeddings: false }],
  ['f32', 'biases', tinyConfig({ model_type: 'qwen2' })],
  ['f16', 'tied head', TINY],
] as const)('a base in its file (%s, %s) trains like one in memory', async (dtype, name, config) => {
  const file = `${dtype}-${name.replace(' ', '-')}.safetensors`;
  const weights = tinyWeights(config);
  // What half precision keeps of each number, so that both bases are the same.
  const rounded = new Map(
    [...weights].map(([key, { shape, data }]) => [
      key,
      { shape, data: dtype === 'f32' ? data : data.map((x) => Math.round(x * 256) / 256) },
    ]),
  );
  await writeSafetensors(path.join(dir, file), toHuggingFace(rounded), { dtype, file });
  // The cast is safe: a base of floats reads no more of the manifest.
  const manifest = {} as Parameters<typeof openStoredBase>[1]['manifest'];
  const stored = await openStoredBase(path.join(dir, file), { file, config, manifest });
  const [mapped, memory] = [open(stored, { config }), open(rounded, { config })];
  const shape = { rows: 2, length: 6 };
  close(await (await mapped.train(shape)).run(feedsOf(2, 6)), await (await memory.train(shape)).run(feedsOf(2, 6)));
  await mapped.release();
  await memory.release();
});

test('rows longer than the context are refused', async () => {
  const sessions = open(tinyWeights());
  await expect(sessions.train({ rows: 2, length: 17 })).rejects.toThrow(
    'rows of 17 tokens are longer than the context of 16',
  );
});
