/**
 * Compares the stacked weights with each expert and router on its own, as the bundle stores them.
 */
import { expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import type { Bundle } from '../model/load-bundle.ts';
import { servingWeights } from './serving-weights.ts';

// servingWeights reads only the parts of a bundle that a tiny one has.
const loaded = (options: Parameters<typeof tinyBundle>[0] = {}) => tinyBundle(options) as unknown as Bundle;
const bundle = loaded({ routers: true, rank: 3 });
const { config, experts, routers } = bundle;
const F = config.intermediate_size;
const d = config.hidden_size;
const rank = 3;
const { base } = servingWeights(bundle);
// Every bundle has experts.
const lora = servingWeights(bundle).lora!;

test('transposes linear weights, but not embeddings and norms', () => {
  for (const [name, { shape, data }] of bundle.weights) {
    const found = base.get(name)!;
    if (shape.length === 1 || name === 'model.embed_tokens.weight') {
      expect(found).toEqual({ shape, data });
      continue;
    }
    const [rows, columns] = shape as [number, number];
    expect(found.shape).toEqual([columns, rows]);
    expect(found.data[1 * rows + 2]).toBe(data[2 * columns + 1]);
    expect(found.data[(columns - 1) * rows]).toBe(data[columns - 1]);
  }
  expect([...base.keys()]).toEqual([...bundle.weights.keys()]);
});

test('the columns of an expert in the stack compute scale * B A h', () => {
  const h = Array.from({ length: F }, (_, i) => Math.sin(i + 1));
  expect(lora.rank).toBe(rank);
  for (const [layer, { a, b }] of lora.layers.entries()) {
    expect([a.shape, b.shape]).toEqual([
      [F, 2 * rank],
      [2 * rank, d],
    ]);
    for (const [e, { layers }] of experts.entries()) {
      const own = layers[layer]!;
      for (let out = 0; out < d; out++) {
        let [stacked, alone] = [0, 0];
        for (let r = 0; r < rank; r++) {
          const column = e * rank + r;
          let [low, ownLow] = [0, 0];
          for (let f = 0; f < F; f++) {
            low += h[f]! * a.data[f * 2 * rank + column]!;
            ownLow += h[f]! * own.a.data[r * F + f]!;
          }
          stacked += low * b.data[column * d + out]!;
          alone += own.scale * own.b.data[out * rank + r]! * ownLow;
        }
        // b is float32 and includes the scale.
        expect(stacked).toBeCloseTo(alone, 5);
      }
    }
  }
});

test('the router has a column for each expert in the bundle’s order, alpha for the safety expert', () => {
  const turned = servingWeights({ ...bundle, experts: experts.toReversed() });
  for (const [layer, { alpha, beta }] of routers.layers!.layers.entries()) {
    for (const [stack, [first, second]] of [
      [lora.router![layer]!, [alpha, beta]],
      [turned.lora!.router![layer]!, [beta, alpha]],
    ] as const) {
      expect([stack.weight.shape, stack.bias.shape]).toEqual([[F, 2], [2]]);
      expect([...stack.weight.data]).toEqual(
        Array.from({ length: F }, (_, f) => [first.weight[f], second.weight[f]]).flat(),
      );
      expect([...stack.bias.data]).toEqual([first.bias, second.bias].map(Math.fround));
    }
  }
});

test('has no router for a bundle without a layers router', () => {
  expect(servingWeights(loaded()).lora!.router).toBeNull();
});
