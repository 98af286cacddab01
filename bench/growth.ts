/**
 * Computes how a figure grows with the number of parameters, and what larger models would need.
 * This is arithmetic on what we counted and measured.
 */

export type Point = { parameters: number; value: number };

/** Fits `value = factor * parameters ^ exponent` by least squares on logarithms. */
export function powerLaw(points: readonly Point[]): { exponent: number; factor: number } {
  const logs = points.map(({ parameters, value }) => ({ x: Math.log(parameters), y: Math.log(value) }));
  const mean = (pick: (point: { x: number; y: number }) => number) =>
    logs.reduce((sum, point) => sum + pick(point), 0) / logs.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const exponent = mean((point) => (point.x - x) * (point.y - y)) / mean((point) => (point.x - x) ** 2);
  return { exponent, factor: Math.exp(y - exponent * x) };
}

/**
 * Weights, AdamW's two moments and its copy of the gradients, in float32. The gradients themselves
 * are values of the graph, so we count them there.
 */
export const STATE_BYTES_A_PARAMETER = 16;

/**
 * Tokens per parameter that give the best model for a given amount of arithmetic (Hoffmann et al.,
 * arXiv 2203.15556).
 */
const TOKENS_A_PARAMETER = 20;

/**
 * Dense bfloat16 speed of an NVIDIA A100 according to its data sheet, and the share of it that a
 * good training run reaches (PaLM, arXiv 2204.02311, reached 46 %).
 */
export const GPU = { name: 'A100', flopsPerSecond: 312e12, utilisation: 0.4 };

export type Needs = {
  tokens: number;
  /** Floating point operations of the whole training. */
  flops: number;
  hoursHere: number;
  gpuHours: number;
};

/** Hours of training from scratch, on this machine at its measured rate and on one `GPU`. */
export function trainingNeeds(
  { parameters, flopsPerToken }: { parameters: number; flopsPerToken: number },
  { flopsPerSecond }: { flopsPerSecond: number },
): Needs {
  const tokens = TOKENS_A_PARAMETER * parameters;
  const flops = tokens * flopsPerToken;
  const hours = (rate: number) => flops / rate / 3600;
  return {
    tokens,
    flops,
    hoursHere: hours(flopsPerSecond),
    gpuHours: hours(GPU.flopsPerSecond * GPU.utilisation),
  };
}
