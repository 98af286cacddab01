/** Shape arithmetic on sizes that may be symbolic. A name equals itself and nothing else. */

import type { Shape, Value } from './graph.ts';
import type { Dim } from './onnx-format.ts';

/** Numpy's broadcasting. */
export function broadcastShapes(a: Shape, b: Shape, where: string): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const left = a[i - rank + a.length] ?? 1;
    const right = b[i - rank + b.length] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw new Error(`${where}: shapes [${a.join(', ')}] and [${b.join(', ')}] do not broadcast`);
  });
}

/** The shape as numbers. Throws if a size is only known at run time. */
export function staticShape(value: Value): number[] {
  return value.shape.map((dim) => {
    if (typeof dim === 'number') return dim;
    throw new Error(`${value.name} has the dynamic shape [${value.shape.join(', ')}] where a static one is needed`);
  });
}

export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((dim) => typeof dim === 'number');
}

/** The size along one axis, as a number. Throws if it is only known at run time. */
export function staticSize(value: Value, axis: number): number {
  const size = value.shape[normalizeAxis(axis, value.shape.length)]!;
  if (typeof size === 'number') return size;
  throw new Error(`${value.name} has the size "${size}" on axis ${axis} where a static one is needed`);
}

export function normalizeAxis(axis: number, rank: number): number {
  const normalized = axis < 0 ? axis + rank : axis;
  if (normalized < 0 || normalized >= rank) throw new Error(`axis ${axis} is outside a tensor of rank ${rank}`);
  return normalized;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
