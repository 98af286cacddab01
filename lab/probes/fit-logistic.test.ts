import { expect, test } from 'vitest';
import { GraphSession } from '#gpu-backend/graph/session.ts';
import { createRandom } from '#training/data/random.ts';
import { buildFitGraph } from './fit-graph.ts';
import { type Block, type Column, fitLogistic } from './fit-logistic.ts';

const ROWS = 80;
/** A few weights that count are larger than thousands of them, so the steps are longer. */
const OPTIONS = { steps: 250, learningRate: 0.1, threads: 1 };
const random = createRandom('probes/fit');
const normal = () => Array.from({ length: 6 }, () => random.next() - 0.5).reduce((a, b) => a + b, 0);
const numbers = (count: number) => Float32Array.from({ length: count }, normal);
const blocks: Block[] = [
  { width: 3, data: numbers(ROWS * 3) },
  { width: 2, data: numbers(ROWS * 2) },
];
const featuresOf = (row: number) =>
  blocks.flatMap(({ width, data }) => Array.from(data.subarray(row * width, (row + 1) * width)));
const chance = (row: number) => 1 / (1 + Math.exp(-2 * featuresOf(row)[0]! + featuresOf(row)[4]!));
const targets = Array.from({ length: ROWS }, (_, row) => (random.next() < chance(row) ? 1 : 0));
const columns: Column[] = [
  { targets, weights: targets.map(() => 1), l2: 0.01 },
  // Some targets are unknown, one is in doubt, and rows have weights of their own.
  {
    targets: targets.map((target, i) => (i % 5 === 0 ? null : i % 7 === 0 ? 0.7 : target)),
    weights: targets.map((_, i) => 0.2 + (i % 3)),
    l2: 0.1,
  },
];

/** Straight from the definition, in float64. `w`: the five weights, then the bias. */
function slowLoss({ targets: wanted, weights, l2 }: Column, w: readonly number[]): number {
  const total = wanted.reduce<number>((sum, target, i) => (target === null ? sum : sum + weights[i]!), 0);
  const pull = (l2 / 2) * w.slice(0, 5).reduce((sum, x) => sum + x * x, 0);
  return wanted.reduce<number>((sum, target, row) => {
    if (target === null) return sum;
    const z = featuresOf(row).reduce((score, x, k) => score + x * w[k]!, w[5]!);
    const p = 1 / (1 + Math.exp(-z));
    return sum - (weights[row]! / total) * (target * Math.log(p) + (1 - target) * Math.log(1 - p));
  }, pull);
}

function slowGradient(column: Column, w: readonly number[], step = 1e-5): number[] {
  return w.map((_, k) => {
    const at = (shift: number) => slowLoss(column, w.with(k, w[k]! + shift));
    return (at(step) - at(-step)) / (2 * step);
  });
}

/** Gradient descent with a short step, until nothing moves. */
function slowOptimum(column: Column): number[] {
  let w = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < 3000; i++) {
    const gradient = slowGradient(column, w);
    w = w.map((x, k) => x - 0.5 * gradient[k]!);
    if (Math.max(...gradient.map(Math.abs)) < 1e-7) break;
  }
  return w;
}

test('loss and gradient of the graph are those of the definition and of finite differences', async () => {
  const at = [numbers(6), numbers(6)].map((w) => Array.from(w));
  const shape = { rows: ROWS, widths: [3, 2], columns: 2 };
  const session = await GraphSession.create(buildFitGraph(shape), { threads: 1 });
  const perRow = (value: (column: Column, row: number) => number) =>
    Float32Array.from(targets.flatMap((_, row) => columns.map((column) => value(column, row))));
  const known = ({ targets: wanted, weights }: Column) =>
    wanted.reduce<number>((sum, target, i) => (target === null ? sum : sum + weights[i]!), 0);
  const matrix = (from: number, to: number) =>
    Float32Array.from({ length: (to - from) * 2 }, (_, i) => at[i % 2]![from + Math.floor(i / 2)]!);
  const outputs = await session.run({
    'x.0': { dims: [ROWS, 3], data: blocks[0]!.data },
    'x.1': { dims: [ROWS, 2], data: blocks[1]!.data },
    targets: { dims: [ROWS, 2], data: perRow((column, row) => column.targets[row] ?? 0) },
    shares: {
      dims: [ROWS, 2],
      data: perRow((column, row) => (column.targets[row] === null ? 0 : column.weights[row]! / known(column))),
    },
    l2: { dims: [2], data: Float32Array.from(columns, ({ l2 }) => l2) },
    'weight.0': { dims: [3, 2], data: matrix(0, 3) },
    'weight.1': { dims: [2, 2], data: matrix(3, 5) },
    bias: { dims: [2], data: matrix(5, 6) },
  });
  await session.release();
  const slow = columns.map((column, k) => slowLoss(column, at[k]!));
  expect(outputs.loss![0]).toBeCloseTo(slow[0]! + slow[1]!, 5);
  for (const [k, column] of columns.entries()) {
    const wanted = slowGradient(column, at[k]!);
    const found = ['grad.weight.0', 'grad.weight.1', 'grad.bias'].flatMap((name) =>
      Array.from(outputs[name]!).filter((_, i) => i % 2 === k),
    );
    // Float32 sums over eighty rows.
    for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 5);
  }
});

test('the fit comes to the optimum that a slow solver finds', async () => {
  const { fitted, gradientNorm } = await fitLogistic(blocks, columns, OPTIONS);
  expect(gradientNorm).toBeLessThan(1e-3);
  for (const [k, column] of columns.entries()) {
    const wanted = slowOptimum(column);
    const found = [...fitted[k]!.weight.flatMap((values) => Array.from(values)), fitted[k]!.bias];
    expect(slowLoss(column, found) - slowLoss(column, wanted)).toBeLessThan(1e-5);
    for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 1);
  }
});

test('a regression does not depend on those beside it', async () => {
  const [both, alone] = await Promise.all([
    fitLogistic(blocks, columns, OPTIONS),
    fitLogistic(blocks, columns.slice(1), OPTIONS),
  ]);
  expect(both.fitted[1]!.bias).toBeCloseTo(alone.fitted[0]!.bias, 3);
});

test('a column without a target is refused', async () => {
  const unknown = { ...columns[0]!, targets: targets.map(() => null) };
  await expect(fitLogistic(blocks, [columns[0]!, unknown], OPTIONS)).rejects.toThrow(
    'regression 1: found no row with a target',
  );
});
