import { expect, test } from 'vitest';
import { createRandom } from '../data/random.ts';
import { tinyConfig } from '../testing/tiny-model.ts';
import { kernelShapes } from './base-model.ts';
import { initialWeights } from './sft.ts';

const start = (changes: Record<string, unknown>) => {
  const config = tinyConfig({ hidden_size: 64, vocab_size: 200, ...changes });
  return initialWeights(config, kernelShapes(config), createRandom('start'));
};

test('norms start at 1, also those of queries and keys', () => {
  const weights = start({ model_type: 'qwen3', head_dim: 8 });
  const norms = [...weights].filter(([name]) => name.includes('norm'));
  expect(norms).toHaveLength(2 * 4 + 1);
  for (const [, { data }] of norms) expect(new Set(data)).toEqual(new Set([1]));
});

test('biases start at 0, and do not change how other weights start', () => {
  const [qwen, llama] = [start({ model_type: 'qwen2' }), start({})];
  const biases = [...qwen].filter(([name]) => name.endsWith('.bias'));
  expect(biases).toHaveLength(2 * 3);
  for (const [, { data }] of biases) expect(new Set(data)).toEqual(new Set([0]));
  for (const [name, tensor] of llama) expect(qwen.get(name)).toEqual(tensor);
});

test('projections back into the residual stream start smaller', () => {
  const deviation = (name: string) => {
    const { data } = start({}).get(name)!;
    return Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
  };
  expect(deviation('model.layers.0.mlp.up_proj.weight')).toBeCloseTo(0.02, 2);
  expect(deviation('model.layers.0.mlp.down_proj.weight')).toBeCloseTo(0.02 / Math.sqrt(2 * 2), 2);
});
