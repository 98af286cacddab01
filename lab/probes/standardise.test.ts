import { expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import type { Fitted } from './fit-logistic.ts';
import { folded, scalingOf, standardised } from './standardise.ts';

const random = createRandom('probes/standardise');
const width = 4;
/** One dimension is large, and one does not vary. */
const data = Float32Array.from(
  { length: 10 * width },
  (_, i) => [1, 500, 0.01, 0][i % width]! * random.next() + (i % width),
);
const rows = [...Array(10).keys()];

test('every dimension has mean 0 and deviation 1, or is 0 if it does not vary', () => {
  const { data: found } = standardised(
    { width, data },
    rows,
    scalingOf(
      { width, data },
      rows.map((row) => ({ row, weight: 1 })),
    ),
  );
  for (let k = 0; k < width; k++) {
    const values = rows.map((row) => found[row * width + k]!);
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
    expect(mean).toBeCloseTo(0, 4);
    expect(variance).toBeCloseTo(k === 3 ? 0 : 1, 4);
  }
});

test('rows count by their weight', () => {
  const { mean } = scalingOf({ width: 1, data: Float32Array.of(1, 5, 100) }, [
    { row: 0, weight: 3 },
    { row: 1, weight: 1 },
  ]);
  expect(mean[0]).toBeCloseTo(2, 10);
});

test('folded weights say of plain states what the weights say of standardised ones', () => {
  const block = { width, data };
  const scaling = scalingOf(
    block,
    rows.map((row) => ({ row, weight: 1 + row })),
  );
  const scaled = standardised(block, rows, scaling);
  const fitted = { weight: [Float32Array.of(0.3, -0.2, 0.5, 0.1)], bias: 0.25 };
  const plain = folded(fitted, [scaling]);
  const score = (values: Float32Array, row: number, { weight, bias }: Fitted) =>
    Array.from(weight[0]!).reduce((sum, w, k) => sum + w * values[row * width + k]!, bias);
  for (const row of rows) expect(score(data, row, plain)).toBeCloseTo(score(scaled.data, row, fitted), 3);
});
