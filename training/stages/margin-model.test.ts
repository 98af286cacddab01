import { expect, test } from 'vitest';
import { clippedMargins } from './margin-model.ts';

const scores = new Map<number, [number, number]>([
  [3, [2, -1]],
  [5, [-1, 2]],
]);

test("a reward margin is the chosen answer's lead, never below 0", () => {
  expect([...clippedMargins('reward', scores, 1)]).toEqual([
    [3, 3],
    [5, 0],
  ]);
});

test('a cost margin is what the rejected answer costs more, never below 0, and scaled', () => {
  expect([...clippedMargins('cost', scores, 0.5)]).toEqual([
    [3, 0],
    [5, 1.5],
  ]);
});
