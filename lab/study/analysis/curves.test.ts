import { expect, test } from 'vitest';
import type { MethodInfo } from '../results/results.ts';
import { curvesOf } from './curves.ts';

const method = (id: string, rest: Partial<MethodInfo> = {}): MethodInfo => ({
  id,
  label: id,
  family: 'mod',
  what: '',
  trainedTokens: 0,
  ...rest,
});

test('orders the methods of a curve by the number in which they differ, and the lines of one budget by floor', () => {
  const line = (floor: number, budget: number | null) =>
    method(`floor ${floor}, budget ${budget ?? 'none'}`, { family: 'logits-router', line: { floor, budget } });
  const curves = curvesOf([
    method('MOD 0.75'),
    method('MOD 0.25'),
    method('soup 0.5', { family: 'soup' }),
    method('base', { family: 'reference' }),
    line(0.9, null),
    line(0, null),
    line(0.9, 2),
  ]);
  expect(curves.map(({ points }) => points.map(({ method: { id } }) => id))).toEqual([
    ['MOD 0.25', 'MOD 0.75'],
    ['floor 0, budget none', 'floor 0.9, budget none'],
  ]);
});
