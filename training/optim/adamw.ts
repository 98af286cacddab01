/** AdamW (Loshchilov and Hutter, arXiv 1711.05101) with clipping by the global norm, on named arrays, in place. */

export type AdamWOptions = {
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
  clipNorm?: number;
};
export type Parameters = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

export class AdamW {
  /** First and second moments by parameter name; what a checkpoint keeps. */
  readonly moments: Map<string, { m: Float32Array; v: Float32Array }>;
  readonly #parameters: Parameters;
  readonly #options: Required<AdamWOptions>;

  constructor(
    parameters: Parameters,
    { beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8, weightDecay = 0, clipNorm = 1 }: AdamWOptions = {},
  ) {
    this.#parameters = parameters;
    this.#options = { beta1, beta2, epsilon, weightDecay, clipNorm };
    this.moments = new Map(
      [...parameters].map(([name, { data }]) => [
        name,
        { m: new Float32Array(data.length), v: new Float32Array(data.length) },
      ]),
    );
  }

  /**
   * One update with the given gradients; `step` counts from 1. Returns the gradients' global norm before clipping. Throws and names the
   * parameter, with nothing changed when a gradient is not finite; after an update that overflows, the weights are of no use.
   */
  step(gradients: ReadonlyMap<string, Float32Array>, { step, learningRate }: { step: number; learningRate: number }) {
    const norm = globalNorm(gradients);
    if (!Number.isFinite(norm)) {
      throw new Error(`the gradient of ${notFinite(gradients)} is not finite`);
    }
    const { beta1, beta2, epsilon, weightDecay, clipNorm } = this.#options;
    const clip = norm > clipNorm ? clipNorm / norm : 1;
    const rate = learningRate / (1 - beta1 ** step);
    const correction = 1 / Math.sqrt(1 - beta2 ** step);
    for (const [name, { shape, data }] of this.#parameters) {
      const gradient = gradients.get(name)!;
      const { m, v } = this.moments.get(name)!;
      // Norm weights are scales, not directions: decaying them only fights the normalisation.
      const decay = shape.length > 1 ? 1 - learningRate * weightDecay : 1;
      // In float64 finite float32 numbers never add up to infinity, so one look at the sum is a look at all of them.
      let sum = 0;
      for (let i = 0; i < data.length; i++) {
        const g = gradient[i]! * clip;
        const mi = beta1 * m[i]! + (1 - beta1) * g;
        const vi = beta2 * v[i]! + (1 - beta2) * g * g;
        m[i] = mi;
        v[i] = vi;
        const next = Math.fround(data[i]! * decay - (rate * mi) / (Math.sqrt(vi) * correction + epsilon));
        data[i] = next;
        sum += next;
      }
      if (!Number.isFinite(sum)) throw new Error(`the update makes ${name} overflow`);
    }
    return norm;
  }
}

/** The first of the named arrays that has a number in it which is none; undefined where all are finite. */
export function notFinite(arrays: ReadonlyMap<string, Float32Array>): string | undefined {
  return [...arrays].find(([, values]) => !values.every(Number.isFinite))?.[0];
}

/** In float64, where the squares of float32 numbers do not overflow: not finite only where a gradient is not. */
function globalNorm(gradients: ReadonlyMap<string, Float32Array>): number {
  let sum = 0;
  for (const gradient of gradients.values()) sum += sumOfSquares(gradient);
  return Math.sqrt(sum);
}

/** In four sums: one alone waits for each addition before the next. */
function sumOfSquares(values: Float32Array): number {
  const whole = values.length - (values.length % 4);
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! * values[i]!;
    b += values[i + 1]! * values[i + 1]!;
    c += values[i + 2]! * values[i + 2]!;
    d += values[i + 3]! * values[i + 3]!;
  }
  for (let i = whole; i < values.length; i++) a += values[i]! * values[i]!;
  return a + b + c + d;
}

export type Schedule = {
  peak: number;
  warmupSteps: number;
  totalSteps: number;
  /** Of the peak, where the cosine ends. */
  floor?: number;
};

/** Linear warm-up, then a cosine. `step` counts from 1. */
export function learningRateAt(step: number, { peak, warmupSteps, totalSteps, floor = 0.1 }: Schedule): number {
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
