import { expect, test } from 'vitest';
import { RunCost } from './run-cost.ts';

function costOf(runs: readonly [tokens: number, ms: number][]): RunCost {
  const cost = new RunCost();
  for (const [tokens, ms] of runs) cost.learn({ tokens, ms });
  return cost;
}
const times = <T>(count: number, value: T) => Array<T>(count).fill(value);
/** Milliseconds of SmolLM2-135M in int4. */
const int4 = (tokens: number) => 10 + 3 * tokens;

test('knows nothing at first and expects that reading weights takes most of the time', () => {
  const cost = new RunCost();
  expect(cost.ratio(2, 2)).toBe(1);
  expect(cost.ratio(10, 2)).toBeCloseTo(1.5 / 1.1, 12);
});

test('expects the same as long as all runs are equally long', () => {
  const cost = costOf(times(200, [2, 33]));
  expect(cost.ratio(10, 2)).toBeCloseTo(1.5 / 1.1, 6);
});

test('fits a line through the runs it has seen', () => {
  const cost = costOf(Array.from({ length: 200 }, (_, i) => [2 + (i % 9), int4(2 + (i % 9))]));
  for (const tokens of [4, 10, 40]) {
    // What was expected before still pulls a little.
    expect(Math.abs(Math.log(cost.ratio(tokens, 2) / (int4(tokens) / int4(2))))).toBeLessThan(0.1);
  }
});

test('a few long runs say what length costs', () => {
  const cost = costOf([...times<[number, number]>(20, [2, int4(2)]), ...times<[number, number]>(3, [10, int4(10)])]);
  const wanted = int4(10) / int4(2);
  expect(cost.ratio(10, 2)).toBeGreaterThan(0.85 * wanted);
  expect(cost.ratio(10, 2)).toBeLessThan(1.15 * wanted);
});

test('follows a machine that becomes slower, and forgets one slow run', () => {
  const cost = costOf([...times<[number, number]>(50, [2, 30]), [10, 400]]);
  const expected = 1.5 / 1.1;
  expect(cost.ratio(10, 2)).toBeGreaterThan(3);
  for (let i = 0; i < 400; i++) cost.learn({ tokens: 2, ms: 30 });
  expect(cost.ratio(10, 2)).toBeCloseTo(expected, 1);
});

test('never says that a longer run is faster', () => {
  const cost = costOf([...times<[number, number]>(20, [2, 50]), ...times<[number, number]>(20, [10, 20])]);
  expect(cost.ratio(10, 2)).toBe(1);
  const steep = costOf([...times<[number, number]>(20, [2, 1]), ...times<[number, number]>(20, [10, 90])]);
  expect(steep.ratio(10, 2)).toBe(5);
});
