import { describe, expect, test } from 'vitest';
import { Graph } from './graph.ts';
import { broadcastShapes, normalizeAxis, sizeOf, staticShape } from './shapes.ts';

describe('broadcasting', () => {
  test.each([
    [[], [], []],
    [[3], [], [3]],
    [[2, 3], [3], [2, 3]],
    [
      [2, 1],
      [1, 3],
      [2, 3],
    ],
    [
      ['B', 1, 4],
      ['T', 1],
      ['B', 'T', 4],
    ],
    [['B'], ['B'], ['B']],
    [[0], [1], [0]],
  ])('%j with %j is %j, in either order', (a, b, wanted) => {
    expect(broadcastShapes(a, b, 'Add')).toEqual(wanted);
    expect(broadcastShapes(b, a, 'Add')).toEqual(wanted);
  });

  test.each([
    [[2], [3], 'Add: shapes [2] and [3] do not broadcast'],
    [[2, 4], [2, 5], 'Add: shapes [2, 4] and [2, 5] do not broadcast'],
    [['B'], ['T'], 'Add: shapes [B] and [T] do not broadcast'],
    [['B', 2], [3, 2], 'Add: shapes [B, 2] and [3, 2] do not broadcast'],
  ])('refuses %j with %j', (a, b, message) => {
    expect(() => broadcastShapes(a, b, 'Add')).toThrow(new Error(message));
  });
});

test.each([
  [0, 3, 0],
  [2, 3, 2],
  [-1, 3, 2],
  [-3, 3, 0],
])('axis %i of rank %i is axis %i', (axis, rank, wanted) => {
  expect(normalizeAxis(axis, rank)).toBe(wanted);
});

test.each([
  [3, 3],
  [-4, 3],
  [0, 0],
])('axis %i of rank %i does not exist', (axis, rank) => {
  expect(() => normalizeAxis(axis, rank)).toThrow(`axis ${axis} is outside a tensor of rank ${rank}`);
});

test('a static shape is all numbers; a symbolic size is refused, and the error names the value', () => {
  const graph = new Graph('g');
  expect(staticShape(graph.input('weights', 'float', [2, 3]))).toEqual([2, 3]);
  const dynamic = graph.input('ids', 'int64', ['B', 4]);
  expect(() => staticShape(dynamic)).toThrow('ids has the dynamic shape [B, 4] where a static one is needed');
});

test('the size of a shape is the product of its sizes, 1 for a scalar', () => {
  expect([sizeOf([]), sizeOf([4]), sizeOf([2, 3, 4]), sizeOf([2, 0])]).toEqual([1, 4, 24, 0]);
});
