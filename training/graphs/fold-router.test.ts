import { expect, test } from 'vitest';
import { Graph } from '#gpu-backend/graph/graph.ts';
import { add, matmul, sigmoid } from '#gpu-backend/graph/ops.ts';
import { GraphSession } from '#gpu-backend/graph/session.ts';
import { fillNormal } from '../stages/sft.ts';
import { createRandom } from '../world/random.ts';
import { foldLinears, type Linear } from './fold-router.ts';

const linear = (name: string, inputs: number, outputs: number): Linear => {
  const weight = new Float32Array(inputs * outputs);
  const bias = new Float32Array(outputs);
  fillNormal(weight, 0.2, createRandom(`${name}/weight`));
  fillNormal(bias, 0.2, createRandom(`${name}/bias`));
  return { weight: { shape: [inputs, outputs], data: weight }, bias };
};

test('one folded linear layer routes like the three it came from', async () => {
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

test('layers that do not fit are refused', () => {
  expect(() => foldLinears([linear('1', 4, 3), linear('2', 2, 1)])).toThrow('3 outputs cannot feed one of 2 inputs');
});
