/**
 * Runs each operator that computes in onnxruntime and checks it against a slow, obvious version in
 * double precision.
 */
import { describe, expect, test } from 'vitest';
import { Graph } from './graph.ts';
import * as ops from './ops.ts';
import { at, build, expectClose, indicesOf, ints, run, some, someInts, type Tensor } from './testing/slow-tensors.ts';

describe('operators on two tensors broadcast and round once', () => {
  const cases = [
    ['add', ops.add, (a: number, b: number) => a + b],
    ['sub', ops.sub, (a: number, b: number) => a - b],
    ['mul', ops.mul, (a: number, b: number) => a * b],
    ['div', ops.div, (a: number, b: number) => a / b],
    ['max', ops.max, Math.max],
    ['min', ops.min, Math.min],
  ] as const;
  test.each(cases)('%s', async (_, op, scalar) => {
    for (const [left, right, dims] of [
      [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      [
        [2, 1, 4],
        [3, 1],
        [2, 3, 4],
      ],
      [[3], [2, 2, 3], [2, 2, 3]],
    ]) {
      const [a, b] = [some(left!), some(right!, 2)];
      const [found] = await run([a, b], (x, y) => op(x!, y!));
      // A float32 operation rounds the exact result, and doubles are exact enough to predict it.
      expect(found).toEqual(build(dims!, (index) => Math.fround(scalar(at(a, index), at(b, index)))));
    }
  });

  test('refuse shapes that do not broadcast, naming the operator and both shapes', () => {
    const graph = new Graph('g');
    const [a, b] = [graph.input('a', 'float', [2, 3]), graph.input('b', 'float', [4])];
    expect(() => ops.mul(a, b)).toThrow('Mul: shapes [2, 3] and [4] do not broadcast');
  });
});

describe('operators on one tensor', () => {
  test.each([
    ['neg', ops.neg, (x: number) => -x],
    ['exp', ops.exp, Math.exp],
    ['floor', ops.floor, Math.floor],
    ['sigmoid', ops.sigmoid, (x: number) => 1 / (1 + Math.exp(-x))],
    ['softplus', ops.softplus, (x: number) => Math.log1p(Math.exp(x))],
    ['silu', ops.silu, (x: number) => x / (1 + Math.exp(-x))],
  ] as const)('%s', async (_, op, scalar) => {
    const x = some([3, 5]);
    const [found] = await run([x], (value) => op(value!));
    expectClose(found!, x.data.map(scalar));
  });

  test('log', async () => {
    const x = { dims: [4], data: [0.125, 1, 2, 1000] };
    const [found] = await run([x], (value) => ops.log(value!));
    expectClose(found!, x.data.map(Math.log));
  });

  test('scale multiplies in the type of its tensor', async () => {
    const x = [1, -3, 0.5];
    const [float, double] = await Promise.all(
      (['float', 'double'] as const).map((dtype) =>
        run([{ dims: [3], data: x, dtype }], (value) => ops.scale(value!, 0.1)),
      ),
    );
    expect(float![0]).toEqual(x.map((value) => Math.fround(value * Math.fround(0.1))));
    expect(double![0]).toEqual(x.map((value) => value * 0.1));
  });
});

describe('the matrix product', () => {
  const product = (a: Tensor, b: Tensor, dims: readonly number[], { transA = false, transB = false } = {}) => {
    const inner = a.dims.at(transA ? -2 : -1)!;
    return build(dims, (index) => {
      const batch = index.slice(0, -2);
      const [i, j] = index.slice(-2) as [number, number];
      let sum = 0;
      for (let k = 0; k < inner; k++) {
        sum += at(a, [...batch, ...(transA ? [k, i] : [i, k])]) * at(b, [...batch, ...(transB ? [j, k] : [k, j])]);
      }
      return sum;
    });
  };

  test.each([
    [[2, 3], [3, 4], {}, [2, 4]],
    [[5, 2, 3], [3, 4], {}, [5, 2, 4]],
    [[2, 1, 2, 3], [4, 3, 2], {}, [2, 4, 2, 2]],
    [[3, 2], [3, 4], { transA: true }, [2, 4]],
    [[2, 3], [4, 3], { transB: true }, [2, 4]],
    [[3, 2], [4, 3], { transA: true, transB: true }, [2, 4]],
    [[2, 2, 3], [2, 4, 3], { transB: true }, [2, 2, 4]],
  ])('%j x %j, %j', async (left, right, how, dims) => {
    const [a, b] = [someInts(left), someInts(right, 2)];
    const [found] = await run([a, b], (x, y) => ops.matmul(x!, y!, how));
    expect(found).toEqual(product(a, b, dims, how));
  });

  type RowsFirst = { rowsFirstA?: boolean; rowsFirstB?: boolean; transB?: boolean };
  test.each<[RowsFirst, number[], number[]]>([
    [{ rowsFirstA: true }, [2, 5, 3], [5, 3, 4]],
    [{ rowsFirstB: true }, [5, 2, 3], [3, 5, 4]],
    [{ rowsFirstA: true, rowsFirstB: true, transB: true }, [2, 3, 5, 3], [4, 3, 1, 3]],
  ])('reads rows that come before the batch: %j', async (how, left, right) => {
    const [a, b] = [someInts(left), someInts(right, 2)];
    const rowsLast = (tensor: Tensor): Tensor => {
      const dims = [...tensor.dims.slice(1, -1), tensor.dims[0]!, tensor.dims.at(-1)!];
      const data = build(dims, (index) => at(tensor, [index.at(-2)!, ...index.slice(0, -2), index.at(-1)!]));
      return { dims, data };
    };
    const [found] = await run([a, b], (x, y) => ops.matmul(x!, y!, how));
    const [p, q] = [how.rowsFirstA ? rowsLast(a) : a, how.rowsFirstB ? rowsLast(b) : b];
    expect(found).toEqual(product(p, q, [...p.dims.slice(0, -2), 2, 4], how));
  });

  test('gemm adds a matrix or a row to a product', async () => {
    const [a, b, turned] = [someInts([2, 3]), someInts([3, 4], 2), someInts([4, 3], 3)];
    const [matrix, row] = [someInts([2, 4], 4), someInts([4], 5)];
    const results = await run([a, b, turned, matrix, row], (x, y, t, m, r) => [
      ops.gemm(x!, y!),
      ops.gemm(x!, y!, { plus: m! }),
      ops.gemm(x!, t!, { transB: true, plus: r! }),
    ]);
    const [plain, across] = [product(a, b, [2, 4]), product(a, turned, [2, 4], { transB: true })];
    const plus = (sums: readonly number[], c: Tensor) => {
      return build([2, 4], ([i, j]) => sums[i! * 4 + j!]! + at(c, [i!, j!]));
    };
    expect(results).toEqual([plain, plus(plain, matrix), plus(across, row)]);
  });

  test.each([
    [[2, 3], [4, 5], {}, 'MatMul: [2, 3] x [4, 5]'],
    [[2, 3], [3, 5], { transA: true }, 'MatMul: [2, 3]^T x [3, 5]'],
    [['B', 'T'], [5, 'S'], { transB: true }, 'MatMul: [B, T] x [5, S]^T'],
    [[2, 4, 3], [3, 3, 5], {}, 'MatMul: shapes [2] and [3] do not broadcast'],
  ])('refuses %j x %j, %j', (left, right, how, message) => {
    const graph = new Graph('g');
    const [a, b] = [graph.input('a', 'float', left), graph.input('b', 'float', right)];
    expect(() => ops.matmul(a, b, how)).toThrow(new Error(message));
  });
});

describe('sums', () => {
  test.each([
    [[1], false, [2, 4]],
    [[0, -1], false, [3]],
    [[-2], true, [2, 1, 4]],
    [[0, 1, 2], true, [1, 1, 1]],
  ])('over the axes %j, keepDims %s', async (axes, keepDims, shape) => {
    const x = someInts([2, 3, 4]);
    const sums = new Map<string, number>();
    const summed = axes.map((axis) => (axis + 3) % 3);
    for (const index of indicesOf(x.dims)) {
      const key = index.filter((_, axis) => !summed.includes(axis)).join();
      sums.set(key, (sums.get(key) ?? 0) + at(x, index));
    }
    const [found] = await run([x], (value) => {
      const output = ops.reduceSum(value!, axes, { keepDims });
      expect(output.shape).toEqual(shape);
      return output;
    });
    expect(found).toEqual([...sums.values()]);
  });

  test('scatterAdd adds up all updates to the same place', async () => {
    const [data, indices, updates] = [someInts([3, 2]), ints([4, 2], [0, 2, 0, 1, 2, 2, 0, 0]), someInts([4, 2], 2)];
    const wanted = [...data.data];
    for (const [i, j] of indicesOf([4, 2]) as [number, number][]) {
      wanted[at(indices, [i, j]) * 2 + j]! += at(updates, [i, j]);
    }
    const [found] = await run([data, indices, updates], (x, i, u) => ops.scatterAdd(x!, i!, u!, 0));
    expect(found).toEqual(wanted);
  });
});

describe('distributions', () => {
  /** They include the value that a mask adds, and logits whose exponentials overflow. */
  const rows: Tensor = { dims: [4, 3], data: [0.5, -1, 2, 1000, 999, 0, 0, -1e9, 1, -500, -500, -500] };
  const logSoftmax = (row: readonly number[]) => {
    const most = Math.max(...row);
    const logSum = most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
    return row.map((x) => x - logSum);
  };
  const wanted = [0, 1, 2, 3].map((i) => logSoftmax(rows.data.slice(3 * i, 3 * i + 3)));

  test('softmax', async () => {
    const [found] = await run([rows], (value) => ops.softmax(value!));
    expectClose(found!, wanted.flat().map(Math.exp));
    // A masked score gets no share at all.
    expect(found![7]).toBe(0);
  });

  test('logSoftmax', async () => {
    const [found] = await run([rows], (value) => ops.logSoftmax(value!));
    expectClose(found!, wanted.flat());
  });

  test('tokenLogprobs picks each row’s target', async () => {
    const logits = { ...rows, dims: [2, 2, 3] };
    const targets = ints([2, 2], [2, 0, 1, 1]);
    const [found] = await run([logits, targets], (x, t) => ops.tokenLogprobs(x!, t!));
    expectClose(found!, [wanted[0]![2]!, wanted[1]![0]!, wanted[2]![1]!, wanted[3]![1]!]);
  });
});

test('rmsNorm divides by the root of the mean square and multiplies by the weight', async () => {
  const [x, weight] = [some([2, 3, 4]), some([4], 2)];
  const epsilon = 0.25;
  const [found] = await run([x, weight], (value, w) => ops.rmsNorm(value!, w!, epsilon));
  const wanted = build([2, 3, 4], ([i, j, k]) => {
    const row = [0, 1, 2, 3].map((at4) => at(x, [i!, j!, at4]));
    const meanSquare = row.reduce((sum, value) => sum + value * value, 0) / 4;
    return (row[k!]! / Math.sqrt(meanSquare + epsilon)) * weight.data[k!]!;
  });
  expectClose(found!, wanted);
});

test('addRmsNorm gives a sum, and its rmsNorm', async () => {
  const [x, delta, weight] = [some([3, 4]), some([3, 4], 3), some([4], 2)];
  const [sum, normed, wantedSum, wanted] = await run([x, delta, weight], (value, d, w) => {
    const both = ops.addRmsNorm(value!, d!, { weight: w!, epsilon: 0.25 });
    const plain = ops.add(value!, d!);
    return [both.sum, both.normed, plain, ops.rmsNorm(plain, w!, 0.25)];
  });
  expect(sum).toEqual(wantedSum);
  expectClose(normed!, wanted!);
});

test('rotary turns the two halves of each head by the angles of its position', async () => {
  const [batch, length, heads, half] = [2, 3, 2, 2];
  const x = some([batch, length, heads * 2 * half]);
  const positions = ints([batch, length], [0, 1, 4, 2, 3, 0]);
  const angle = (position: number, i: number) => position / 10 ** i;
  const table = (f: (angle: number) => number): Tensor => ({
    dims: [5, half],
    data: build([5, half], ([position, i]) => Math.fround(f(angle(position!, i!)))),
  });
  const [found] = await run([x, positions, table(Math.cos), table(Math.sin)], (value, p, cos, sin) =>
    ops.rotary(value!, p!, cos!, sin!),
  );
  const wanted = build(x.dims, ([b, t, column]) => {
    const i = column! % half;
    const head = column! - (column! % (2 * half));
    const theta = angle(at(positions, [b!, t!]), i);
    const [first, second] = [at(x, [b!, t!, head + i]), at(x, [b!, t!, head + half + i])];
    return column! - head < half
      ? first * Math.cos(theta) - second * Math.sin(theta)
      : second * Math.cos(theta) + first * Math.sin(theta);
  });
  expectClose(found!, wanted);
});

test('cast to the type that it is already adds nothing', () => {
  const graph = new Graph('g');
  const x = graph.input('x', 'float', [2]);
  expect(ops.cast(x, 'float')).toBe(x);
});
