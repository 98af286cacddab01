/**
 * Compares the stacked weights with each expert and router on its own, as the bundle stores them.
 */
import { expect, test } from 'vitest';
import type { Expert, ExpertModule } from '../model/adapter.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { linearModules } from '../model/linear-modules.ts';
import type { Bundle } from '../model/load-bundle.ts';
import type { StackedLora } from '../model/serving-graph.ts';
import { servingWeights } from './serving-weights.ts';

// servingWeights reads only the parts of a bundle that a tiny one has.
const loaded = (options: Parameters<typeof tinyBundle>[0] = {}) => tinyBundle(options) as unknown as Bundle;
const bundle = loaded({ routers: true, rank: 3, helpfulnessRank: 5 });
const { config, experts, routers } = bundle;
const F = config.intermediate_size;
// This bundle has experts.
const lora = servingWeights(bundle).lora!;

/** `scale * B A x` of one expert, from its own matrices. */
function changeOf({ a, b, scale }: ExpertModule, x: readonly number[]): number[] {
  const [rank, inputs] = a.shape as [number, number];
  return Array.from({ length: b.shape[0]! }, (_, out) => {
    let sum = 0;
    for (let r = 0; r < rank; r++) {
      for (let i = 0; i < inputs; i++) sum += b.data[out * rank + r]! * a.data[r * inputs + i]! * x[i]!;
    }
    return scale * sum;
  });
}

/** The same from the expert's columns `from..to` of the stack. */
function stackedChange({ a, b }: StackedLora, [from, to]: [number, number], x: readonly number[]): number[] {
  const [wide, outputs] = b.shape as [number, number];
  return Array.from({ length: outputs }, (_, out) => {
    let sum = 0;
    for (let column = from; column < to; column++) {
      for (const [i, value] of x.entries()) sum += value * a.data[i * wide + column]! * b.data[column * outputs + out]!;
    }
    return sum;
  });
}

test('an expert owns as many columns as its rank, and they compute scale * B A x', () => {
  const kinds = [...new Set([...linearModules(config).values()].map(({ kind }) => kind))];
  const all = loaded({ rank: 3, helpfulnessRank: 5, targets: kinds });
  const { modules, count } = servingWeights(all).lora!;
  expect(count).toBe(2);
  expect([...modules.keys()]).toEqual([...linearModules(config).keys()]);
  for (const [name, { inputs, outputs }] of linearModules(config)) {
    const stacked = modules.get(name)!;
    expect([stacked.ranks, stacked.a.shape, stacked.b.shape]).toEqual([
      [3, 5],
      [inputs, 8],
      [8, outputs],
    ]);
    const x = Array.from({ length: inputs }, (_, i) => Math.sin(i + 1));
    for (const [e, columns] of (
      [
        [0, 3],
        [3, 8],
      ] as [number, number][]
    ).entries()) {
      const wanted = changeOf(all.experts[e]!.modules.get(name)!, x);
      // b is float32 and includes the scale.
      for (const [i, value] of stackedChange(stacked, columns, x).entries()) expect(value).toBeCloseTo(wanted[i]!, 5);
    }
  }
});

test('a module that one expert changes has only its columns, and one that none changes is left out', () => {
  const [safety, helpfulness] = experts as [Expert, Expert];
  const [first, second] = [...safety.modules];
  const uneven = {
    ...bundle,
    experts: [
      { ...safety, modules: new Map([first!]) },
      { ...helpfulness, modules: new Map() },
    ],
  };
  const { modules } = servingWeights(uneven).lora!;
  expect([...modules.keys()]).toEqual([first![0]]);
  expect(modules.get(first![0])).toMatchObject({ ranks: [3, 0], a: { shape: [F, 3] } });
  expect(modules.has(second![0])).toBe(false);
});

test('has no LoRA and no router if every expert is the base alone', () => {
  const bare = { ...bundle, experts: experts.map((expert) => ({ ...expert, modules: new Map() })) };
  expect(servingWeights(bare).lora).toBeNull();
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
