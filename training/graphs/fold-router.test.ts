/**
 * MidPO's published router is three linear layers and a sigmoid, with nothing between the layers.
 * Such a stack equals one linear layer:
 *
 *   W3 (W2 (W1 h + b1) + b2) + b3 = (W3 W2 W1) h + (W3 (W2 b1 + b2) + b3)
 *
 * We train, store and serve that one layer: F + 1 numbers per gate instead of 2 * F * 512.
 */
import { expect, test } from 'vitest';
import { Graph } from '#gpu-backend/graph/graph.ts';
import { add, matmul, sigmoid } from '#gpu-backend/graph/ops.ts';
import { GraphSession } from '#gpu-backend/graph/session.ts';
import type { KernelTensor } from '#gpu-backend/model/serving-graph.ts';
import { createRandom } from '../data/random.ts';
import { fillNormal } from '../stages/sft.ts';

/** `weight [in, out]`, `bias [out]`. */
type Linear = { weight: KernelTensor; bias: Float32Array };

/** Folds the layers, given first to last, into one. Computes in float64. */
function foldLinears(layers: readonly [Linear, ...Linear[]]): Linear {
  return layers.slice(1).reduce<Linear>((folded, next) => compose(folded, next), layers[0]);
}

function compose(first: Linear, second: Linear): Linear {
  const middle = first.bias.length;
  const inputs = first.weight.data.length / middle;
  const outputs = second.bias.length;
  const product = (row: (k: number) => number, column: number) => {
    let sum = 0;
    for (let k = 0; k < middle; k++) sum += row(k) * second.weight.data[k * outputs + column]!;
    return sum;
  };
  const data = Float32Array.from({ length: inputs * outputs }, (_, i) =>
    product((k) => first.weight.data[Math.floor(i / outputs) * middle + k]!, i % outputs),
  );
  const bias = Float32Array.from({ length: outputs }, (_, j) => product((k) => first.bias[k]!, j) + second.bias[j]!);
  return { weight: { shape: [inputs, outputs], data }, bias };
}

const linear = (name: string, inputs: number, outputs: number): Linear => {
  const weight = new Float32Array(inputs * outputs);
  const bias = new Float32Array(outputs);
  fillNormal(weight, 0.2, createRandom(`${name}/weight`));
  fillNormal(bias, 0.2, createRandom(`${name}/bias`));
  return { weight: { shape: [inputs, outputs], data: weight }, bias };
};

test('one folded linear layer routes like the three original layers', async () => {
  const [features, bottleneck, rows] = [24, 7, 5];
  const layers = [
    linear('1', features, bottleneck),
    linear('2', bottleneck, features),
    linear('3', features, 1),
  ] as const;
  const graph = new Graph('router');
  const h = graph.input('h', 'float', [rows, features]);
  const route = (stack: readonly Linear[], name: string) => {
    const applied = stack.reduce(
      (x, { weight, bias }, i) =>
        add(
          matmul(x, graph.initializer(`${name}.${i}.w`, 'float', weight.shape, weight.data)),
          graph.initializer(`${name}.${i}.b`, 'float', [bias.length], bias),
        ),
      h,
    );
    return sigmoid(applied);
  };
  graph.output('three', route(layers, 'three'));
  graph.output('one', route([foldLinears(layers)], 'one'));
  const session = await GraphSession.create(graph.toModel(), { threads: 1 });
  const data = new Float32Array(rows * features);
  fillNormal(data, 1, createRandom('h'));
  const { three, one } = await session.run({ h: { dims: [rows, features], data } });
  for (let i = 0; i < rows; i++) expect(one![i]!).toBeCloseTo(three![i]!, 5);
  expect(Math.max(...three!) - Math.min(...three!)).toBeGreaterThan(0.01);
});
