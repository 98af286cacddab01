import { expect, test } from 'vitest';
import { margins } from './margin-model.ts';

const scores = new Map<number, [number, number]>([
  [3, [2, -1]],
  [5, [-1, 2]],
]);

test("a reward margin is the chosen answer's reward minus the rejected one's, and never below 0", () => {
  expect([...margins(scores, { kind: 'reward', rule: 'spe', scale: 1 })]).toEqual([
    [3, 3],
    [5, 0],
  ]);
});

test('a cost margin is how much more the rejected answer costs, scaled and never below 0', () => {
  expect([...margins(scores, { kind: 'cost', rule: 'spe', scale: 0.5 })]).toEqual([
    [3, 0],
    [5, 1.5],
  ]);
});

test("MODPO's margin keeps its sign: it is negative if the chosen answer costs more", () => {
  expect([...margins(scores, { kind: 'cost', rule: 'modpo', scale: 2 })]).toEqual([
    [3, -6],
    [5, 6],
  ]);
});
