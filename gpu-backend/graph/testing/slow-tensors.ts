/**
 * Runs operators in onnxruntime, and provides plain TypeScript tensors (loops over indices) to
 * check them against.
 */
import { expect } from 'vitest';
import { Graph, type Value } from '../graph.ts';
import type { Dim } from '../onnx-format.ts';
import * as ort from '../onnxruntime.ts';
import { sizeOf } from '../shapes.ts';

export type Tensor = { dims: readonly number[]; data: readonly number[]; dtype?: 'float' | 'double' | 'int64' };

/**
 * Returns what the graph computes for these inputs, and checks that it has the shape the builder
 * declared.
 */
export async function run(
  inputs: readonly Tensor[],
  build: (...values: Value[]) => Value | Value[],
): Promise<number[][]> {
  return runWith(
    inputs,
    inputs.map(({ dims }) => dims),
    build,
  );
}

/** Like `run`, but the graph is given other shapes, with names in place of sizes. */
export async function runWith(
  inputs: readonly Tensor[],
  shapes: readonly (readonly Dim[])[],
  build: (...values: Value[]) => Value | Value[],
): Promise<number[][]> {
  const graph = new Graph('ops');
  const values = inputs.map(({ dtype = 'float' }, i) => graph.input(`x${i}`, dtype, shapes[i]!));
  const outputs = [build(...values)].flat();
  outputs.forEach((value, i) => {
    graph.output(`y${i}`, value);
  });
  // Not a GraphSession, which gives no shapes.
  const session = await ort.InferenceSession.create(graph.toModel(), { intraOpNumThreads: 1 });
  const results = await session.run(Object.fromEntries(inputs.map((input, i) => [`x${i}`, tensorOf(input)])));
  await session.release();
  const names = new Map(inputs.flatMap(({ dims }, i) => shapes[i]!.map((dim, at) => [dim, dims[at]!])));
  return outputs.map(({ shape }, i) => {
    const { dims, data } = results[`y${i}`]!;
    expect(dims).toEqual(shape.map((dim) => (typeof dim === 'number' ? dim : names.get(dim))));
    // Numbers, or 64-bit integers.
    return Array.from(data as ArrayLike<number | bigint>, Number);
  });
}

function tensorOf({ dims, data, dtype = 'float' }: Tensor): ort.Tensor {
  if (dtype === 'int64') return new ort.Tensor('int64', BigInt64Array.from(data, BigInt), dims);
  if (dtype === 'double') return new ort.Tensor('float64', Float64Array.from(data), dims);
  return new ort.Tensor('float32', Float32Array.from(data), dims);
}

/** Some float32 numbers between -2 and 2; another seed gives others. */
export function some(dims: readonly number[], seed = 1): Tensor {
  const data = Array.from({ length: sizeOf(dims) }, (_, i) =>
    Math.fround(2 * Math.sin(12.9898 * (i + 1) + 78.233 * seed)),
  );
  return { dims, data };
}

/** Small integers: float32 holds their sums and products exactly, in any order. */
export function someInts(dims: readonly number[], seed = 1): Tensor {
  return { dims, data: some(dims, seed).data.map((x) => Math.round(4 * x)) };
}

export const ints = (dims: readonly number[], data: readonly number[]): Tensor => ({ dims, data, dtype: 'int64' });

export function indicesOf(dims: readonly number[]): number[][] {
  return dims.reduce<number[][]>(
    (indices, size) => indices.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])),
    [[]],
  );
}

/**
 * The element at an index. The index may be longer than the tensor's rank, and may go beyond a size
 * of 1, as in numpy's broadcasting.
 */
export function at({ dims, data }: Tensor, index: readonly number[]): number {
  const own = index.slice(index.length - dims.length);
  return data[dims.reduce((offset, size, axis) => offset * size + (size === 1 ? 0 : own[axis]!), 0)]!;
}

export const build = (dims: readonly number[], element: (index: readonly number[]) => number): number[] =>
  indicesOf(dims).map(element);

/** Float32 keeps 24 bits. These operators lose a few of them. */
export function expectClose(found: readonly number[], wanted: readonly number[], tolerance = 2e-6): void {
  expect(found).toHaveLength(wanted.length);
  const errors = found.map((x, i) => Math.abs(x - wanted[i]!) / Math.max(1, Math.abs(wanted[i]!)));
  expect(Math.max(0, ...errors)).toBeLessThanOrEqual(tolerance);
}
