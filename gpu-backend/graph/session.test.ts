import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Graph } from './graph.ts';
import { add, gather, neg, scale } from './ops.ts';
import { float32, GraphSession, int64 } from './session.ts';

const open: GraphSession[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) await session.release();
});

async function sessionOf(graph: Graph): Promise<GraphSession> {
  const session = await GraphSession.create(graph.toModel(), { threads: 1 });
  open.push(session);
  return session;
}

test('runs a graph many times, at any size its shapes allow', async () => {
  const graph = new Graph('g');
  const x = graph.input('x', 'float', ['N']);
  graph.output('twice', scale(x, 2));
  graph.output('minus', neg(x));
  const session = await sessionOf(graph);
  for (const data of [Float32Array.of(1, -2), Float32Array.of(0.5, 3, 4, 5)]) {
    expect(await session.run({ x: float32([data.length], data) })).toEqual({
      twice: data.map((value) => 2 * value),
      minus: data.map((value) => -value),
    });
  }
});

test('computes only what is fetched', async () => {
  const graph = new Graph('g');
  const [x, y] = [graph.input('x', 'float', [1]), graph.input('y', 'float', [1])];
  graph.output('sum', add(x, y));
  graph.output('minus', neg(x));
  const session = await sessionOf(graph);
  const feeds = { x: float32([1], Float32Array.of(1)), y: float32([1], Float32Array.of(2)) };
  expect(await session.run(feeds, ['minus'])).toEqual({ minus: Float32Array.of(-1) });
});

test('accepts integers as plain numbers, and accepts doubles', async () => {
  const graph = new Graph('g');
  const table = graph.initializer('table', 'double', [3], Float64Array.of(0.1, 0.2, 0.3));
  const offset = graph.input('offset', 'double', []);
  graph.output('y', add(gather(table, graph.input('ids', 'int64', [2])), offset));
  const session = await sessionOf(graph);
  const { y } = await session.run({ ids: int64([2], [2, 0]), offset: { dims: [], data: Float64Array.of(1) } });
  // These are the sums in double precision. In float32 they would be different numbers.
  expect(y).toEqual(Float64Array.of(0.3 + 1, 0.1 + 1));
});

test('later runs do not change an output', async () => {
  const graph = new Graph('g');
  graph.output('y', neg(graph.input('x', 'float', [1])));
  const session = await sessionOf(graph);
  const first = await session.run({ x: float32([1], Float32Array.of(1)) });
  await session.run({ x: float32([1], Float32Array.of(7)) });
  expect(first.y).toEqual(Float32Array.of(-1));
});

test.each<[string, Parameters<GraphSession['run']>, RegExp]>([
  ['an input that is missing', [{}], /input 'x' is missing/],
  ['an input of another type', [{ x: int64([1], [1]) }], /[Uu]nexpected input data type/],
  ['an input of another shape', [{ x: float32([2], new Float32Array(2)) }], /invalid dimensions|Got: 2 Expected: 1/],
  ['an unknown output', [{ x: float32([1], new Float32Array(1)) }, ['z']], /output name: z/],
])('%s rejects the run, and the next run works', async (_, args, message) => {
  const graph = new Graph('g');
  graph.output('y', neg(graph.input('x', 'float', [1])));
  const session = await sessionOf(graph);
  await expect(session.run(...args)).rejects.toThrow(message);
  expect(await session.run({ x: float32([1], Float32Array.of(2)) })).toEqual({ y: Float32Array.of(-2) });
});

test('refuses bytes that are not a model', async () => {
  await expect(GraphSession.create(Uint8Array.of(1, 2, 3))).rejects.toThrow();
});

test('refuses an operator that onnxruntime does not know, and names it', async () => {
  const graph = new Graph('g');
  const [y] = graph.emit('Wibble', [graph.input('x', 'float', [1])], [{ dtype: 'float', shape: [1] }]);
  graph.output('y', y!);
  await expect(GraphSession.create(graph.toModel())).rejects.toThrow(/Wibble/);
});

describe('weights in a file', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'session-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const numbers = Float32Array.of(7, 1, 2, 3, 9);
  writeFileSync(path.join(folder, 'weights'), new Uint8Array(numbers.buffer));
  const graphOver = (file: string, offset = 4) => {
    const graph = new Graph('g');
    const weight = graph.externalInitializer('w', 'float', [3], { file, offset, bytes: 12 });
    graph.output('y', add(graph.input('x', 'float', [3]), weight));
    return graph.toModel();
  };

  test('are read from their place', async () => {
    const session = await GraphSession.create(graphOver('weights'), { threads: 1, weightsFolder: folder });
    open.push(session);
    const x = float32([3], Float32Array.of(10, 20, 30));
    expect(await session.run({ x })).toEqual({ y: Float32Array.of(11, 22, 33) });
  });

  test.each([
    ['a file that is not there', 'others', 4],
    ['a file outside the folder', '../weights', 4],
    ['a place beyond the end of the file', 'weights', 12],
  ])('%s is an error', async (_, file, offset) => {
    await expect(GraphSession.create(graphOver(file, offset), { weightsFolder: folder })).rejects.toThrow();
  });
});
