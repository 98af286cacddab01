/**
 * Runs each operator that only moves numbers in onnxruntime. The result must equal a slow, obvious
 * version exactly.
 */
import { describe, expect, test } from 'vitest';
import { Graph, type Value } from './graph.ts';
import type { DType } from './onnx-format.ts';
import * as ops from './ops.ts';
import { at, build, ints, run, runWith, some } from './testing/slow-tensors.ts';

describe('operators that only move numbers', () => {
  test('transpose', async () => {
    const x = some([2, 3, 4]);
    const [found] = await run([x], (value) => ops.transpose(value!, [2, 0, 1]));
    expect(found).toEqual(build([4, 2, 3], ([k, i, j]) => at(x, [i!, j!, k!])));
  });

  test('reshape keeps the order of the numbers', async () => {
    const x = some([2, 3, 4]);
    const shapes: Value['shape'][] = [];
    const found = await run([x], (value) => {
      const outputs = [[6, 4], [0, -1], [-1], [0, 3, 2, -1]].map((spec) => ops.reshape(value!, spec));
      shapes.push(...outputs.map(({ shape }) => shape));
      return outputs;
    });
    for (const each of found) expect(each).toEqual(x.data);
    expect(shapes).toEqual([[6, 4], [2, 12], [24], [2, 3, 2, 2]]);
  });

  test('reshape infers a size next to symbolic ones, or uses the given one', async () => {
    const x = some([2, 3, 4]);
    const shapes: Value['shape'][] = [];
    const found = await runWith([x], [['B', 'T', 4]], (value) => {
      const outputs = [
        ops.reshape(value!, [0, 0, 2, -1]),
        ops.reshape(value!, [0, -1, 4]),
        ops.reshape(value!, [-1, 12], { inferred: 2 }),
        ops.reshapeAs(ops.reshape(value!, [-1, 4]), ['B', 'T', 4]),
        ops.reshapeAs(value!, ['B', 'T', 2, 2]),
      ];
      shapes.push(...outputs.map(({ shape }) => shape));
      return outputs;
    });
    for (const each of found) expect(each).toEqual(x.data);
    expect(shapes).toEqual([
      ['B', 'T', 2, 2],
      ['B', 'T', 4],
      [2, 12],
      ['B', 'T', 4],
      ['B', 'T', 2, 2],
    ]);
  });

  test('reshape names a product of sizes that are only known at run time', () => {
    const x = new Graph('g').input('x', 'float', ['B', 'T', 4]);
    expect(ops.reshape(x, [-1, 4]).shape).toEqual(['B*T', 4]);
    expect(() => ops.reshapeAs(ops.reshape(x, [-1, 4]), ['B', 'S', 4])).toThrow(
      'no input of the graph has the size "S"',
    );
  });

  test.each([
    [[2, 3], [4, -1], 'Reshape: cannot infer a size from [2, 3] to [4, -1]; name it'],
    [['B', 6], [-1, 3], 'Reshape: cannot infer a size from [B, 6] to [-1, 3]; name it'],
  ])('reshape refuses to infer a size from %j to %j', (shape, spec, message) => {
    const x = new Graph('g').input('x', 'float', shape);
    expect(() => ops.reshape(x, spec)).toThrow(new Error(message));
  });

  test('unsqueeze adds an axis of size 1, counted from either end', async () => {
    const graph = new Graph('g');
    const value = graph.input('x', 'float', ['B', 3]);
    expect([0, 1, 2, -1, -3].map((axis) => ops.unsqueeze(value, axis).shape)).toEqual([
      [1, 'B', 3],
      ['B', 1, 3],
      ['B', 3, 1],
      ['B', 3, 1],
      [1, 'B', 3],
    ]);
    expect(() => ops.unsqueeze(value, 3)).toThrow('axis 3 is outside a tensor of rank 3');
    const x = some([2, 3]);
    expect(await run([x], (each) => ops.unsqueeze(each!, 1))).toEqual([x.data]);
  });

  test('concat', async () => {
    const [a, b] = [some([2, 1, 3]), some([2, 2, 3], 2)];
    const [found] = await run([a, b], (x, y) => ops.concat([x!, y!], -2));
    expect(found).toEqual(build([2, 3, 3], ([i, j, k]) => (j === 0 ? at(a, [i!, 0, k!]) : at(b, [i!, j! - 1, k!]))));
  });

  test('concat accepts a name for a sum of sizes that are only known at run time', async () => {
    const [a, b] = [some([2, 3]), some([1, 3], 2)];
    const [found] = await runWith([a, b, some([3])], [['P', 3], ['T', 3], ['S']], (x, y) =>
      ops.concat([x!, y!], 0, 'S'),
    );
    expect(found).toEqual([...a.data, ...b.data]);
  });

  test('slice', async () => {
    const x = some([3, 5]);
    const [rows, columns] = await run([x], (value) => [ops.slice(value!, 0, 1, 3), ops.slice(value!, -1, 2, 4)]);
    expect(rows).toEqual(build([2, 5], ([i, j]) => at(x, [i! + 1, j!])));
    expect(columns).toEqual(build([3, 2], ([i, j]) => at(x, [i!, j! + 2])));
  });

  test('split cuts into parts whose sizes are only known at run time', async () => {
    const [x, sizes] = [some([2, 5]), ints([2], [3, 2])];
    // The other two inputs only say what the names mean.
    const parts = await runWith([x, sizes, some([3]), some([2])], [[2, 'S'], [2], ['P'], ['T']], (value, by) =>
      ops.split(value!, 1, by!, ['P', 'T']),
    );
    expect(parts).toEqual([build([2, 3], (index) => at(x, index)), build([2, 2], ([i, j]) => at(x, [i!, j! + 3]))]);
  });

  test('reshapeTo takes the shape from a tensor', async () => {
    const [x, spec] = [some([2, 6]), ints([3], [3, 2, 2])];
    const [found] = await runWith([x, spec, some([3])], [[2, 6], [3], ['S']], (value, to) =>
      ops.reshapeTo(value!, to!, ['S', 2, 2]),
    );
    expect(found).toEqual(x.data);
  });

  test('gather takes rows by index', async () => {
    const [table, indices] = [some([4, 3]), ints([2, 2], [3, 0, 0, 2])];
    const [found] = await run([table, indices], (x, i) => ops.gather(x!, i!));
    expect(found).toEqual(build([2, 2, 3], ([i, j, k]) => at(table, [at(indices, [i!, j!]), k!])));
  });

  test('scatterRows puts rows into their places', async () => {
    const [x, rows, places] = [some([3, 2, 4]), some([2, 4], 2), ints([2, 2], [2, 0, 0, 1])];
    const [found] = await run([x, places, rows], (value, p, r) => ops.scatterRows(value!, p!, r!));
    const row = (p: number, b: number) => ['2 0', '0 1'].indexOf(`${p} ${b}`);
    const wanted = build([3, 2, 4], ([p, b, d]) =>
      row(p!, b!) < 0 ? at(x, [p!, b!, d!]) : at(rows, [row(p!, b!), d!]),
    );
    expect(found).toEqual(wanted);
  });

  test('gatherPositions takes one position of each row', async () => {
    const [x, positions] = [some([3, 4, 2]), ints([3], [3, 0, 2])];
    const [found] = await run([x, positions], (value, p) => ops.gatherPositions(value!, p!));
    expect(found).toEqual(build([3, 2], ([b, d]) => at(x, [b!, positions.data[b!]!, d!])));
  });

  test('places take rows out of a batch and put them back', async () => {
    const [x, weights] = [some([2, 3, 4]), { dims: [2, 3], data: [0, 1, 0, 2, 0, 0] }];
    const shapes = [
      ['B', 'T', 4],
      ['B', 'T'],
    ];
    const [taken, put] = await runWith([x, weights, some([2])], [...shapes, ['n']], (value, w) => {
      const places = ops.nonZero(w!, 'n');
      const rows = ops.gatherPlaces(value!, places);
      return [rows, ops.scatterPlaces(rows, places, ['B', 'T'])];
    });
    const counts = (i: number, j: number) => at(weights, [i, j]) !== 0;
    expect(taken).toEqual(build([2, 4], ([i, k]) => at(x, [i!, i === 0 ? 1 : 0, k!])));
    expect(put).toEqual(build([2, 3, 4], ([i, j, k]) => (counts(i!, j!) ? at(x, [i!, j!, k!]) : 0)));
  });

  test('range counts up to a size that is only known at run time, alone or times a number', async () => {
    const [found, twice] = await runWith([some([3]), some([6])], [['n'], ['2n']], (x) => [
      ops.cast(ops.range(x!, 'n'), 'float'),
      ops.reshapeAs(ops.expand(ops.unsqueeze(x!, 0), [2, 'n']), ['2n']),
    ]);
    expect(found).toEqual([0, 1, 2]);
    expect(twice).toHaveLength(6);
  });

  test('countOf is how many numbers there are', async () => {
    const [found] = await runWith([some([2, 3])], [['B', 'T']], (x) => ops.countOf(x!));
    expect(found).toEqual([6]);
  });

  test('expand repeats sizes of 1', async () => {
    const x = some([2, 1]);
    const [found] = await run([x], (value) => ops.expand(value!, [3, 2, 2]));
    expect(found).toEqual(build([3, 2, 2], (index) => at(x, index)));
  });

  test('zeros have the requested type', async () => {
    const dtypes: DType[] = [];
    const found = await run([some([1])], (value) => {
      const outputs = [ops.zeros(value!, [2, 3]), ops.zeros(value!, [2], 'double')];
      dtypes.push(...outputs.map(({ dtype }) => dtype));
      return outputs;
    });
    expect(found).toEqual([Array(6).fill(0), [0, 0]]);
    expect(dtypes).toEqual(['float', 'double']);
  });
});
