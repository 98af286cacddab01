/**
 * AdamW (Loshchilov and Hutter, arXiv 1711.05101) with clipping by the global norm. It works in
 * place, on named arrays. `adamw-kernel.ts` updates the weights, in float32.
 */
import { AdamWKernel } from './adamw-kernel.ts';

export type AdamWOptions = {
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
  clipNorm?: number;
};
export type Parameters = ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;

export class AdamW {
  /** First and second moments by parameter name. A checkpoint keeps them. */
  readonly moments: ReadonlyMap<string, { m: Float32Array; v: Float32Array }>;
  readonly #parameters: Parameters;
  readonly #options: Required<AdamWOptions>;
  readonly #kernel: AdamWKernel;

  private constructor(kernel: AdamWKernel, parameters: Parameters, options: Required<AdamWOptions>) {
    this.#parameters = parameters;
    this.#options = options;
    this.#kernel = kernel;
    this.moments = new Map([...parameters.keys()].map((name, i) => [name, kernel.arrays[i]!]));
    [...parameters.values()].forEach((parameter, i) => {
      const { weight } = kernel.arrays[i]!;
      weight.set(parameter.data);
      parameter.data = weight;
    });
  }

  /**
   * Takes over the parameters: their `data` becomes a copy in the optimizer's own memory, which
   * `step` updates.
   */
  static async create(
    parameters: Parameters,
    { beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8, weightDecay = 0, clipNorm = 1 }: AdamWOptions = {},
  ): Promise<AdamW> {
    const kernel = await AdamWKernel.create([...parameters.values()].map(({ data }) => data.length));
    return new AdamW(kernel, parameters, { beta1, beta2, epsilon, weightDecay, clipNorm });
  }

  /**
   * Makes one update with the given gradients; `step` counts from 1. Returns the gradients' global
   * norm before clipping. If a gradient is not finite, changes nothing and throws an error that
   * names the parameter. If the update overflows, throws such an error too, and the weights are
   * then useless.
   */
  step(gradients: ReadonlyMap<string, Float32Array>, { step, learningRate }: { step: number; learningRate: number }) {
    const parameters = [...this.#parameters].map(([name, { shape }], i) => ({
      name,
      shape,
      arrays: this.#kernel.arrays[i]!,
    }));
    for (const { name, arrays } of parameters) arrays.gradient.set(gradients.get(name)!);
    const norm = this.#kernel.gradientNorm();
    if (!Number.isFinite(norm)) {
      throw new Error(`the gradient of ${notFinite(gradients)} is not finite`);
    }
    const { beta1, beta2, epsilon, weightDecay, clipNorm } = this.#options;
    const factors = {
      clip: norm > clipNorm ? clipNorm / norm : 1,
      beta1,
      beta2,
      rate: learningRate / (1 - beta1 ** step),
      correction: 1 / Math.sqrt(1 - beta2 ** step),
      epsilon,
    };
    for (const { name, shape, arrays } of parameters) {
      // Norm weights are scales, not directions, so decaying them would only work against the
      // normalisation.
      const decay = shape.length > 1 ? 1 - learningRate * weightDecay : 1;
      if (!this.#kernel.update(arrays, { ...factors, decay })) throw new Error(`the update makes ${name} overflow`);
    }
    return norm;
  }
}

/** Returns the name of the first array with a non-finite number, or undefined if there is none. */
export function notFinite(arrays: ReadonlyMap<string, Float32Array>): string | undefined {
  return [...arrays].find(([, values]) => !values.every(Number.isFinite))?.[0];
}

export const SCHEDULES = ['cosine', 'constant'] as const;

export type Schedule = {
  /** What comes after the warm-up; a cosine, unless it is constant. */
  kind?: (typeof SCHEDULES)[number];
  peak: number;
  warmupSteps: number;
  totalSteps: number;
  /** Where the cosine ends, as a share of the peak. */
  floor?: number;
};

/** A linear warm-up, then a cosine or the peak. `step` counts from 1. */
export function learningRateAt(step: number, schedule: Schedule): number {
  const { kind = 'cosine', peak, warmupSteps, totalSteps, floor = 0.1 } = schedule;
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  if (kind === 'constant') return peak;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
