import { expect, test } from 'vitest';
import { leastSquares } from './least-squares.ts';

test('finds the line that the points are on', () => {
  const line = leastSquares([0, 1, 2, 5].map((x) => ({ x, y: 3 * x - 2 })));
  expect(line.slope).toBeCloseTo(3);
  expect(line.intercept).toBeCloseTo(-2);
  expect(line.slopeError).toBeCloseTo(0);
});

test('no other slope comes nearer to scattered points', () => {
  const points = [2, 1, 4, 3, 7, 5].map((y, x) => ({ x, y }));
  const { slope, intercept, slopeError } = leastSquares(points);
  const squares = (a: number, b: number) => points.reduce((sum, { x, y }) => sum + (y - a * x - b) ** 2, 0);
  for (const step of [0.01, -0.01]) {
    expect(squares(slope + step, intercept)).toBeGreaterThan(squares(slope, intercept));
    expect(squares(slope, intercept + step)).toBeGreaterThan(squares(slope, intercept));
  }
  expect(slopeError).toBeGreaterThan(0);
});

test('refuses what has no line', () => {
  expect(() => leastSquares([{ x: 1, y: 1 }])).toThrow('1 points');
  expect(() => leastSquares([1, 2, 3].map((y) => ({ x: 1, y })))).toThrow('different places');
});
