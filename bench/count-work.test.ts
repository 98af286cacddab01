/** Checks the counts against formulas that do not use a graph. */
import { describe, expect, test } from 'vitest';
import { Graph } from '#gpu-backend/graph/graph.ts';
import { add, matmul, mul, reshape } from '#gpu-backend/graph/ops.ts';
import { type DecoderConfig, headDim } from '#gpu-backend/model/config.ts';
import { sftGraph } from '#training/graphs/sft-graph.ts';
import { kernelShapes } from '#training/stages/base-model.ts';
import { TINY } from '#training/testing/tiny-model.ts';
import { matmulFlops, matmuls, peakLiveBytes } from './count-work.ts';

describe.each<[string, DecoderConfig]>([
  ['tied head', TINY],
  ['untied head', { ...TINY, tie_word_embeddings: false }],
  ['as many key heads as query heads', { ...TINY, num_key_value_heads: TINY.num_attention_heads }],
])('the matrix products of a training step, %s', (_, config) => {
  const batch = { rows: 3, length: 5, answers: 15 };
  const shapes = kernelShapes(config);
  const tokens = batch.rows * batch.length;
  // Norms are not products. The embedding is used in a product only if it also serves as the head.
  const weights = [...shapes]
    .filter(([name, shape]) => shape.length === 2 && (config.tie_word_embeddings || !name.includes('embed_tokens')))
    .reduce((sum, [, [rows, columns]]) => sum + rows! * columns!, 0);
  const scores = batch.rows * config.num_attention_heads * batch.length ** 2 * headDim(config);

  test('take 2 N T forward, and 4 T per attention score', () => {
    const graph = sftGraph(config, { shapes, batch, withGradients: false });
    expect(matmulFlops(graph)).toBe(2 * weights * tokens + 4 * config.num_hidden_layers * scores);
  });

  test('take 6 N T forward and backward, and 12 T per attention score', () => {
    const graph = sftGraph(config, { shapes, batch });
    expect(matmulFlops(graph)).toBe(6 * weights * tokens + 12 * config.num_hidden_layers * scores);
  });
});

test('counts products with transposed operands and batches correctly', () => {
  const graph = new Graph('products');
  const [a, b] = [graph.input('a', 'float', [2, 7, 3]), graph.input('b', 'float', [2, 7, 5])];
  graph.output('c', matmul(a, b, { transA: true }));
  graph.output('d', matmul(a, graph.input('w', 'float', [3, 11])));
  matmul(a, graph.input('unused', 'float', [3, 100]));
  expect(matmuls(graph)).toEqual([
    { m: 3, k: 7, n: 5, flops: 2 * 2 * 3 * 7 * 5 },
    { m: 14, k: 3, n: 11, flops: 2 * 14 * 3 * 11 },
  ]);
});

test('counts a value from its node to its last reader, and an output to the end', () => {
  const graph = new Graph('alive');
  const x = graph.input('x', 'float', [100]);
  const a = add(x, x); // 400 bytes
  const b = mul(a, a); // a and b: 800
  const c = add(reshape(b, [100]), x); // b and c: 800, because a is freed and reshaping takes no memory
  graph.output('b', b);
  graph.output('d', mul(c, c)); // b, c and d: 1200
  expect(peakLiveBytes(graph)).toBe(1200);
});
