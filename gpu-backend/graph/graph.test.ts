import { describe, expect, test } from 'vitest';
import { Graph } from './graph.ts';
import { add, cast, exp, neg, scale, silu } from './ops.ts';
import { float32, GraphSession, int64 } from './session.ts';

test('a value knows its graph, name, type and shape', () => {
  const graph = new Graph('g');
  const x = graph.input('x', 'float', ['B', 2]);
  expect(x).toMatchObject({ name: 'x', dtype: 'float', shape: ['B', 2] });
  expect(x.graph).toBe(graph);
  const y = neg(x);
  expect(y).toMatchObject({ dtype: 'float', shape: ['B', 2] });
  expect(y.name).not.toBe(neg(x).name);
});

test('two values cannot have the same name', () => {
  const graph = new Graph('g');
  graph.input('x', 'float', [1]);
  expect(() => graph.input('x', 'int64', [2])).toThrow('the graph has two values named "x"');
  expect(() => graph.initializer('x', 'float', [1], Float32Array.of(1))).toThrow('two values named "x"');
});

test.each([
  [[2, 2], 3, 'initializer w: shape [2, 2] wants 4 numbers, found 3'],
  [[], 2, 'initializer w: shape [] wants 1 numbers, found 2'],
])('an initializer of shape %j with %i numbers is refused', (dims, length, message) => {
  expect(() => new Graph('g').initializer('w', 'float', dims, new Float32Array(length))).toThrow(message);
});

test('stores equal constants once, and different ones separately', () => {
  const graph = new Graph('g');
  const one = graph.constant('float', [1], [1]);
  expect(graph.constant('float', [1], [1])).toBe(one);
  const others = [
    graph.constant('double', [1], [1]),
    graph.constant('int64', [1], [1]),
    graph.constant('float', [], [1]),
    graph.constant('float', [1], [2]),
  ];
  expect(new Set([one, ...others].map(({ name }) => name)).size).toBe(5);
});

test('`once` makes a value the first time and returns it from then on', () => {
  const graph = new Graph('g');
  let made = 0;
  const make = () => {
    made++;
    return graph.input(`w${made}`, 'float', [1]);
  };
  expect(graph.once('w', make)).toBe(graph.once('w', make));
  expect(graph.once('v', make).name).toBe('w2');
  expect(made).toBe(2);
});

test('refuses a value of another graph, and names it', () => {
  const here = new Graph('here').input('x', 'float', [1]);
  const there = new Graph('there').input('stranger', 'float', [1]);
  expect(() => add(here, there)).toThrow('Add: stranger belongs to another graph');
});

test('fetches inputs, initializers, and one value under several names', async () => {
  const graph = new Graph('g');
  const x = graph.input('x', 'float', [2]);
  const w = graph.initializer('w', 'float', [1], Float32Array.of(5));
  const minus = neg(x);
  const outputs = { first: minus, second: minus, plus: neg(minus), same: x, stored: w };
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
  const session = await GraphSession.create(graph.toModel(), { threads: 1 });
  const [one, other] = [Float32Array.of(1, 2), Float32Array.of(-1, -2)];
  expect(await session.run({ x: float32([2], one) })).toEqual({
    first: other,
    second: other,
    plus: one,
    same: one,
    stored: Float32Array.of(5),
  });
  await session.release();
});

test('an optional output can be left out', () => {
  const graph = new Graph('g');
  const x = graph.input('x', 'float', [2]);
  const spec = { dtype: 'float', shape: [2] } as const;
  const [first, third] = graph.emit('Three', [x], [spec, null, spec]);
  expect([first!.name, third!.name].every((name) => name.startsWith('Three'))).toBe(true);
  expect(graph.tape.at(-1)!.outputs).toEqual([first, third]);
});

describe('the tape', () => {
  const ops = (graph: Graph) => graph.tape.map(({ op }) => op);

  test('has one entry per operator, with its values in order', () => {
    const graph = new Graph('g');
    const [x, y] = [graph.input('x', 'float', [2]), graph.input('y', 'float', [2])];
    const sum = add(x, y);
    const e = exp(sum);
    expect(graph.tape).toEqual([
      { op: 'Add', inputs: [x, y], outputs: [sum], attributes: {} },
      { op: 'Exp', inputs: [sum], outputs: [e], attributes: {} },
    ]);
  });

  test('has one entry for a composite, while the graph keeps all its nodes', () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float', [2]);
    graph.output('y', silu(x));
    expect(ops(graph)).toEqual(['Silu']);
    expect(graph.operators().map(({ op }) => op)).toEqual(['Sigmoid', 'Mul']);
  });

  test('leaves out what `withoutTape` builds, and records again after a throw', () => {
    const graph = new Graph('g');
    const x = graph.input('x', 'float', [2]);
    graph.withoutTape(() => neg(silu(x)));
    expect(ops(graph)).toEqual([]);
    expect(() =>
      graph.withoutTape(() => {
        throw new Error('stop');
      }),
    ).toThrow('stop');
    graph.composite('Twice', [x], () => [scale(x, 2)], { times: 2 });
    neg(x);
    expect(ops(graph)).toEqual(['Twice', 'Neg']);
    expect(graph.tape[0]!.attributes).toEqual({ times: 2 });
  });
});

test('lists the nodes that outputs depend on, in the order they were added', () => {
  const graph = new Graph('g');
  const x = graph.input('x', 'float', [2]);
  const a = neg(x);
  exp(x); // leads nowhere
  const b = add(a, x);
  expect(graph.operators()).toEqual([]);
  graph.output('b', b);
  graph.output('a', a);
  expect(graph.outputs).toEqual([b, a]);
  expect(graph.operators()).toEqual([
    { op: 'Neg', inputs: [x], outputs: [a], attributes: {} },
    { op: 'Add', inputs: [a, x], outputs: [b], attributes: {} },
  ]);
});

describe('a part that only some runs compute', () => {
  const build = () => {
    const graph = new Graph('g');
    const [x, go] = [graph.input('x', 'float', [2]), graph.input('go', 'int64', [1])];
    const y = neg(x);
    graph.output('y', y);
    graph.onlyIf(
      cast(go, 'bool'),
      () =>
        new Map([
          ['z', exp(y)],
          ['again', y],
          ['x itself', x],
        ]),
    );
    return graph;
  };

  test('is computed where its condition holds, and is empty elsewhere', async () => {
    const session = await GraphSession.create(build().toModel(), { threads: 1 });
    const at = (go: number) => session.run({ x: float32([2], Float32Array.of(1, 2)), go: int64([1], [go]) });
    const computed = await at(1);
    expect([...computed.y!]).toEqual([-1, -2]);
    expect(computed.z![1]).toBeCloseTo(Math.exp(-2), 6);
    expect([...computed.again!]).toEqual([-1, -2]);
    expect([...computed['x itself']!]).toEqual([1, 2]);
    const without = await at(0);
    expect([...without.y!]).toEqual([-1, -2]);
    expect(without.z).toHaveLength(0);
    await session.release();
  });

  test('counts among the operators and outputs, and a graph has at most one', () => {
    const graph = build();
    expect(graph.operators().map(({ op }) => op)).toEqual(['Neg', 'Exp']);
    expect(graph.outputs).toHaveLength(4);
    expect(() => graph.onlyIf(graph.inputs[1]!, () => new Map())).toThrow('the graph g has a conditional part already');
  });
});
