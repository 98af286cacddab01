/**
 * Every family through a training graph, against the slow decoder: the log-probability of each
 * token under an expert, for the same weights that the engine's test of families serves.
 */
import { expect, test } from 'vitest';
import { float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '#gpu-backend/model/fixtures/tiny-families.ts';
import { transposeMatrix } from '#gpu-backend/model/kernel-layout.ts';
import type { Bundle } from '#gpu-backend/model/load-bundle.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import { slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { toHuggingFace } from '../stages/base-model.ts';
import { buildScoreGraph } from './dpo-graph.ts';

const length = 16;
const ids = Array.from({ length: length + 1 }, (_, i) => 10 + ((i * 37) % 200));

const transposed = ({ shape, data }: Tensor): Tensor => {
  const [rows, columns] = shape as [number, number];
  return { shape: [columns, rows], data: transposeMatrix(data, rows, columns) };
};

test.each(TINY_FAMILY_NAMES)('a training graph computes what the slow decoder computes: %s', async (name) => {
  const parts = tinyBundle({ config: TINY_FAMILIES[name] });
  const { rank, alpha, modules } = parts.experts[0]!;
  const lora = new Map(
    [...modules.values()].flatMap(({ a, b }, layer) => [
      [`lora.${layer}.mlp.down_proj.a`, transposed(a)] as const,
      [`lora.${layer}.mlp.down_proj.b`, transposed(b)] as const,
    ]),
  );
  // One row for each token, which alone counts in it.
  const dims = [length, length];
  const feeds = {
    ids: int64(
      dims,
      Array.from({ length: length ** 2 }, (_, i) => ids[i % length]!),
    ),
    targets: int64(
      dims,
      Array.from({ length: length ** 2 }, (_, i) => ids[1 + (i % length)]!),
    ),
    loss_weights: float32(
      dims,
      Float32Array.from({ length: length ** 2 }, (_, i) => Number(i % (length + 1) === 0)),
    ),
  };
  // The layout's change is its own inverse, so this also turns a bundle's weights into the graph's.
  const base = toHuggingFace(parts.weights);
  const session = await GraphSession.create(buildScoreGraph(parts.config, { base, rank, loraScale: alpha / rank }), {
    threads: 1,
  });
  const { logprobs } = await session.run({ ...feeds, ...parameterFeeds(lora) });
  for (let t = 0; t < length; t++) {
    // The slow decoder reads no more of a bundle than these parts.
    const bundle = parts as unknown as Bundle;
    const { logits } = slowDecoder(bundle, ids.slice(0, t + 1), () => ({ safety: 1, helpfulness: 0 }));
    const logZ = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
    // Float32 against float64, as in the engine's test.
    expect(Math.abs(logprobs![t]! - (logits[ids[t + 1]!]! - logZ))).toBeLessThan(1e-4);
  }
  await session.release();
});
