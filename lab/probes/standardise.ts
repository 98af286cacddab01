/**
 * States have dimensions of very different sizes, and a pull towards 0 is only fair between
 * features of one size. So they are standardised for the fit, and that is folded into the weights
 * afterwards: the served probe reads states as they are.
 */
import type { Block, Fitted } from './fit-logistic.ts';

export type Scaling = {
  /** [width] */
  mean: Float64Array;
  /** [width]; 1 where a dimension does not vary. */
  deviation: Float64Array;
};

/** @param rows which rows of the block count, and how much */
export function scalingOf({ width, data }: Block, rows: readonly { row: number; weight: number }[]): Scaling {
  const mean = new Float64Array(width);
  const deviation = new Float64Array(width);
  const total = rows.reduce((sum, { weight }) => sum + weight, 0);
  for (const { row, weight } of rows) {
    for (let k = 0; k < width; k++) mean[k]! += (weight / total) * data[row * width + k]!;
  }
  for (const { row, weight } of rows) {
    for (let k = 0; k < width; k++) deviation[k]! += (weight / total) * (data[row * width + k]! - mean[k]!) ** 2;
  }
  for (let k = 0; k < width; k++) deviation[k] = Math.sqrt(deviation[k]!) || 1;
  return { mean, deviation };
}

/** A copy of these rows, standardised. */
export function standardised({ width, data }: Block, rows: readonly number[], { mean, deviation }: Scaling): Block {
  const out = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) {
    for (let k = 0; k < width; k++) out[i * width + k] = (data[row * width + k]! - mean[k]!) / deviation[k]!;
  }
  return { width, data: out };
}

/** The same regression over states as they are. */
export function folded({ weight, bias }: Fitted, scalings: readonly Scaling[]): Fitted {
  let shifted = bias;
  const unscaled = weight.map((values, i) => {
    const { mean, deviation } = scalings[i]!;
    return Float32Array.from(values, (value, k) => {
      shifted -= (value * mean[k]!) / deviation[k]!;
      return value / deviation[k]!;
    });
  });
  return { weight: unscaled, bias: shifted };
}
