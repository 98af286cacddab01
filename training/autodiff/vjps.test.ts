/**
 * Checks every operator's gradient against central finite differences. It uses float64 if
 * onnxruntime has a float64 kernel for the operator.
 */
import { describe, expect, test } from 'vitest';
import { Graph, type Value } from '#gpu-backend/graph/graph.ts';
import * as ops from '#gpu-backend/graph/ops.ts';
import { type Feed, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { gradients } from './gradients.ts';
import { VJPS } from './vjps.ts';

type Case = {
  /** The tape entry that this case tests. */
  op: keyof typeof VJPS & string;
  name?: string;
  shapes: number[][];
  build: (inputs: Value[], graph: Graph) => Value;
  /** True if onnxruntime has only a float32 kernel. */
  float32?: true;
  /** Draws the inputs from [0.5, 1.5], as Log and Div need. */
  positive?: true;
};

const ids = (graph: Graph, dims: number[], values: number[]) => graph.constant('int64', dims, values);

const cases: Case[] = [
  { op: 'Add', shapes: [[2, 3], [3]], build: ([a, b]) => ops.add(a!, b!) },
  {
    op: 'Sub',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    build: ([a, b]) => ops.sub(a!, b!),
  },
  {
    op: 'Mul',
    shapes: [
      [2, 1, 3],
      [4, 1],
    ],
    build: ([a, b]) => ops.mul(a!, b!),
  },
  { op: 'Mul', name: 'Mul of a value with itself', shapes: [[2, 3]], build: ([a]) => ops.mul(a!, a!) },
  {
    op: 'Div',
    shapes: [
      [2, 3],
      [2, 3],
    ],
    build: ([a, b]) => ops.div(a!, b!),
    positive: true,
  },
  { op: 'Neg', shapes: [[5]], build: ([a]) => ops.neg(a!) },
  { op: 'Exp', shapes: [[5]], build: ([a]) => ops.exp(a!) },
  { op: 'Log', shapes: [[5]], build: ([a]) => ops.log(a!), positive: true },
  { op: 'LogSoftmax', shapes: [[2, 5]], build: ([a]) => ops.logSoftmax(a!) },
  {
    op: 'GatherND',
    shapes: [[2, 3, 4]],
    build: ([x], graph) => ops.gatherPositions(x!, ids(graph, [2], [2, 0])),
  },
  {
    op: 'GatherPlaces',
    shapes: [[2, 3, 4]],
    build: ([x], graph) => ops.gatherPlaces(x!, ids(graph, [3, 2], [0, 2, 1, 0, 1, 1])),
  },
  {
    op: 'ScatterPlaces',
    shapes: [[3, 4]],
    build: ([x], graph) => ops.scatterPlaces(x!, ids(graph, [3, 2], [0, 2, 1, 0, 1, 1]), [2, 3]),
  },
  { op: 'Sigmoid', shapes: [[5]], build: ([a]) => ops.sigmoid(a!) },
  { op: 'Silu', shapes: [[5]], build: ([a]) => ops.silu(a!) },
  { op: 'Softplus', shapes: [[5]], build: ([a]) => ops.softplus(a!), float32: true },
  {
    op: 'MatMul',
    shapes: [
      [3, 4],
      [4, 2],
    ],
    build: ([a, b]) => ops.matmul(a!, b!),
  },
  {
    op: 'MatMul',
    name: 'MatMul, batched by a matrix',
    shapes: [
      [2, 3, 4],
      [4, 2],
    ],
    build: ([a, b]) => ops.matmul(a!, b!),
  },
  {
    op: 'MatMul',
    name: 'MatMul, broadcast batches',
    shapes: [
      [2, 3, 2, 4],
      [2, 1, 4, 2],
    ],
    build: ([a, b]) => ops.matmul(a!, b!),
  },
  ...[
    { transA: false, transB: true },
    { transA: true, transB: false },
    { transA: true, transB: true },
  ].map(
    (flags): Case => ({
      op: 'FusedMatMul',
      name: `FusedMatMul ${JSON.stringify(flags)}`,
      shapes: [flags.transA ? [2, 4, 3] : [2, 3, 4], flags.transB ? [2, 5, 4] : [2, 4, 5]],
      build: ([a, b]) => ops.matmul(a!, b!, flags),
      float32: true,
    }),
  ),
  {
    op: 'FusedMatMul',
    name: 'FusedMatMul of a batch and a tied head',
    shapes: [
      [2, 3, 4],
      [5, 4],
    ],
    build: ([a, b]) => ops.matmul(a!, b!, { transB: true }),
    float32: true,
  },
  { op: 'Transpose', shapes: [[2, 3, 4]], build: ([a]) => ops.transpose(a!, [2, 0, 1]) },
  { op: 'Reshape', shapes: [[2, 3, 4]], build: ([a]) => ops.reshape(a!, [0, -1]) },
  { op: 'Unsqueeze', shapes: [[2, 3]], build: ([a]) => ops.unsqueeze(a!, 1) },
  {
    op: 'Concat',
    shapes: [
      [2, 3],
      [2, 2],
    ],
    build: ([a, b]) => ops.concat([a!, b!], 1),
  },
  { op: 'SliceAxis', shapes: [[2, 5]], build: ([a]) => ops.slice(a!, 1, 1, 3) },
  { op: 'Gather', shapes: [[4, 3]], build: ([a], graph) => ops.gather(a!, ids(graph, [2, 3], [1, 1, 3, 0, 1, 1])) },
  { op: 'Softmax', shapes: [[2, 4]], build: ([a]) => ops.softmax(a!) },
  { op: 'ReduceSum', shapes: [[2, 3, 4]], build: ([a]) => ops.reduceSum(a!, [0, 2]) },
  {
    op: 'ReduceSum',
    name: 'ReduceSum, axes kept',
    shapes: [[2, 3]],
    build: ([a]) => ops.reduceSum(a!, [1], { keepDims: true }),
  },
  {
    op: 'SimplifiedLayerNormalization',
    shapes: [[2, 3, 4], [4]],
    build: ([x, w]) => ops.rmsNorm(x!, w!, 1e-5),
    float32: true,
  },
  {
    op: 'RotaryEmbedding',
    shapes: [[1, 3, 8]],
    build: ([x], graph) => {
      const table = (f: (angle: number) => number) =>
        graph.constant(
          'float',
          [4, 2],
          Array.from({ length: 8 }, (_, i) => f(i * 0.7)),
        );
      return ops.rotary(x!, ids(graph, [1, 3], [0, 3, 1]), table(Math.cos), table(Math.sin));
    },
    float32: true,
  },
  {
    op: 'TokenLogprobs',
    shapes: [[2, 3, 5]],
    build: ([logits], graph) => ops.tokenLogprobs(logits!, ids(graph, [2, 3], [0, 4, 4, 1, 2, 0])),
  },
];

/** A fixed pseudo-random sequence in [-1, 1), so that the cases are the same on every run. */
function* noise(seed: number): Generator<number> {
  for (let i = 1; ; i++) yield (Math.sin(seed * 12.9898 + i * 78.233) * 43758.5453) % 1;
}

function buildLoss({ shapes, build, float32 }: Case) {
  const graph = new Graph('gradient-check');
  const dtype = float32 ? 'float' : 'double';
  const inputs = shapes.map((shape, i) => graph.input(`x${i}`, dtype, shape));
  const y = build(inputs, graph);
  // The loss is a weighted sum, so that no two elements get the same cotangent.
  const size = y.shape.reduce<number>((product, dim) => product * Number(dim), 1);
  const weights = graph.constant(
    dtype,
    y.shape.map(Number),
    Array.from({ length: size }, (_, i) => Math.cos(i + 1)),
  );
  const loss = ops.reduceSum(
    ops.mul(y, weights),
    y.shape.map((_, i) => i),
  );
  graph.output('loss', loss);
  gradients(graph, loss, inputs).forEach((gradient, i) => void graph.output(`d${i}`, gradient));
  return graph;
}

describe('each gradient matches central finite differences', () => {
  test.each(cases.map((each) => [each.name ?? each.op, each] as const))('%s', async (_, each) => {
    const session = await GraphSession.create(buildLoss(each).toModel(), { threads: 1 });
    // The step h balances truncation (h^2) against rounding (eps / h): about eps^(1/3) for each
    // type.
    const [step, tolerance] = each.float32 ? [1e-2, 5e-3] : [1e-5, 1e-8];
    const random = noise(each.shapes.flat().length);
    const next = () => (each.positive ? 1 + random.next().value! / 2 : random.next().value!);
    const arrays = each.shapes.map((shape) => {
      const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next);
      return each.float32 ? Float32Array.from(values) : Float64Array.from(values);
    });
    const feeds = () =>
      Object.fromEntries(arrays.map((data, i): [string, Feed] => [`x${i}`, { dims: each.shapes[i]!, data }]));
    const analytic = await session.run(feeds());
    for (const [i, data] of arrays.entries()) {
      for (let j = 0; j < data.length; j++) {
        const at = async (value: number) => {
          const before = data[j]!;
          data[j] = value;
          const { loss } = await session.run(feeds(), ['loss']);
          data[j] = before;
          return loss![0]!;
        };
        const numeric = ((await at(data[j]! + step)) - (await at(data[j]! - step))) / (2 * step);
        expect(
          Math.abs(analytic[`d${i}`]![j]! - numeric),
          `d${i}[${j}]: ${analytic[`d${i}`]![j]} / ${numeric}`,
        ).toBeLessThan(tolerance * Math.max(1, Math.abs(numeric)));
      }
    }
    await session.release();
  });

  test('every operator with a gradient has a case', () => {
    expect(new Set(cases.map((each) => each.op))).toEqual(new Set(Object.keys(VJPS)));
  });
});

test('the embedding gradient adds repeated ids exactly, on two threads', async () => {
  const [rows, width, count] = [64, 256, 4096];
  const graph = new Graph('repeated-ids');
  const table = graph.input('table', 'float', [rows, width]);
  const indices = graph.input('ids', 'int64', [count]);
  const loss = ops.reduceSum(ops.gather(table, indices), [0, 1]);
  graph.output('gradient', gradients(graph, loss, [table])[0]!);
  const session = await GraphSession.create(graph.toModel(), { threads: 2 });
  const values = Array.from({ length: count }, (_, i) => (i * i) % 7);
  const expected = new Float32Array(rows * width);
  for (const id of values) for (let j = 0; j < width; j++) expected[id * width + j]! += 1;
  for (let repeat = 0; repeat < 15; repeat++) {
    const { gradient } = await session.run({
      table: { dims: [rows, width], data: new Float32Array(rows * width) },
      ids: int64([count], values),
    });
    // With this many numbers, toEqual would take seconds.
    expect(gradient!.findIndex((value, i) => value !== expected[i])).toBe(-1);
    expect(gradient).toHaveLength(expected.length);
  }
  await session.release();
});

test('fails with the name of an operator that has no gradient', () => {
  const graph = new Graph('no-gradient');
  const x = graph.input('x', 'float', [2]);
  const y = ops.reduceSum(graph.emit('Erf', [x], [{ dtype: 'float', shape: [2] }])[0]!, [0]);
  expect(() => gradients(graph, y, [x])).toThrow('no gradient is known for the operator Erf');
});

describe("an operator's second output", () => {
  /** Silu keeps the sigmoid of its input as a second output, for its own gradient. */
  const siluOf = (x: Value): [y: Value, s: Value] => {
    const y = ops.silu(x);
    return [y, x.graph.tape.at(-1)!.outputs[1]!];
  };
  const vector = (name: string, graph: Graph) => graph.input(name, 'float', [2]);

  test.each([
    ['together with the first', (y: Value, s: Value) => ops.add(y, s)],
    ['alone', (_: Value, s: Value) => s],
  ])('is an error when the loss depends on it %s', (_, use) => {
    const graph = new Graph('second-output');
    const x = vector('x', graph);
    const loss = ops.reduceSum(use(...siluOf(x)), [0]);
    expect(() => gradients(graph, loss, [x])).toThrow(
      'the operator Silu passes gradients through its first output only, and the loss depends on output 2',
    );
  });

  test('may be used when no gradient has to pass through it', () => {
    const graph = new Graph('second-output');
    const [, s] = siluOf(vector('x', graph));
    const weight = vector('weight', graph);
    const loss = ops.reduceSum(ops.mul(s, weight), [0]);
    expect(gradients(graph, loss, [s, weight])).toHaveLength(2);
  });
});
