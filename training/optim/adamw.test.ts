import { describe, expect, test } from 'vitest';
import { AdamW, learningRateAt } from './adamw.ts';

/** The published algorithm on one number, in float64. */
function slowAdamW(start: number, gradients: readonly number[], { rate, decay }: { rate: number; decay: number }) {
  let [x, m, v] = [start, 0, 0];
  gradients.forEach((g, i) => {
    const t = i + 1;
    m = 0.9 * m + 0.1 * g;
    v = 0.98 * v + 0.02 * g * g;
    x = x - rate * decay * x - (rate * (m / (1 - 0.9 ** t))) / (Math.sqrt(v / (1 - 0.98 ** t)) + 1e-8);
  });
  return x;
}

describe('AdamW', () => {
  test('equals the published algorithm, decaying matrices and not norms', () => {
    const gradients = [0.3, -0.2, 0.25, 0.1, -0.4];
    const parameters = new Map([
      ['matrix', { shape: [1, 1], data: Float32Array.of(0.7) }],
      ['norm', { shape: [1], data: Float32Array.of(0.7) }],
    ]);
    const optimizer = new AdamW(parameters, { weightDecay: 0.1, clipNorm: 100 });
    gradients.forEach((g, i) => {
      const each = new Map([...parameters.keys()].map((name) => [name, Float32Array.of(g)]));
      optimizer.step(each, { step: i + 1, learningRate: 0.01 });
    });
    expect(parameters.get('matrix')!.data[0]).toBeCloseTo(slowAdamW(0.7, gradients, { rate: 0.01, decay: 0.1 }), 6);
    expect(parameters.get('norm')!.data[0]).toBeCloseTo(slowAdamW(0.7, gradients, { rate: 0.01, decay: 0 }), 6);
  });

  test('clips by the norm of all gradients together', () => {
    const run = (scale: number) => {
      const parameters = new Map([['x', { shape: [2, 1], data: Float32Array.of(1, 1) }]]);
      const optimizer = new AdamW(parameters, { clipNorm: 1 });
      const norm = optimizer.step(new Map([['x', Float32Array.of(3 * scale, 4 * scale)]]), {
        step: 1,
        learningRate: 0.1,
      });
      return { norm, moments: [...optimizer.moments.get('x')!.m] };
    };
    expect(run(10).norm).toBeCloseTo(50);
    expect(run(10).moments[0]).toBeCloseTo(run(1000).moments[0]!, 6);
  });

  test.each([1, 3, 4, 7, 12])('the norm is of all %i numbers of each gradient', (count) => {
    const gradient = Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));
    const parameters = () => ({ shape: [count], data: new Float32Array(count) });
    const optimizer = new AdamW(
      new Map([
        ['x', parameters()],
        ['y', parameters()],
      ]),
    );
    const gradients = new Map([
      ['x', gradient],
      ['y', gradient],
    ]);
    const norm = optimizer.step(gradients, { step: 1, learningRate: 0.1 });
    expect(norm).toBeCloseTo(Math.hypot(...gradient, ...gradient), 12);
  });

  test('a gradient that is not finite is named and changes nothing', () => {
    const parameters = new Map([
      ['good', { shape: [1, 1], data: Float32Array.of(1) }],
      ['bad', { shape: [1, 1], data: Float32Array.of(1) }],
    ]);
    const optimizer = new AdamW(parameters);
    const gradients = new Map([
      ['good', Float32Array.of(1)],
      ['bad', Float32Array.of(Number.NaN)],
    ]);
    expect(() => optimizer.step(gradients, { step: 3, learningRate: 1 })).toThrow('the gradient of bad is not finite');
    expect([...parameters.values()].map(({ data }) => data[0])).toEqual([1, 1]);
  });
});

describe('the learning rate', () => {
  const schedule = { peak: 1, warmupSteps: 10, totalSteps: 100 };
  test.each([
    [1, 0.1],
    [10, 1],
    [55, 0.55],
    [100, 0.1],
  ])('at step %i of 100 is %f', (step, rate) => {
    expect(learningRateAt(step, schedule)).toBeCloseTo(rate, 6);
  });
});
