import { describe, expect, test } from 'vitest';
import { AdamW, learningRateAt } from './adamw.ts';
import { AdamWKernel } from './adamw-kernel.ts';

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
  test.each([1, 2, 3, 4, 5, 9])(
    'matches the published algorithm on arrays of %i, and decays matrices but not norms',
    async (count) => {
      const numbers = (start: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(start + i));
      const start = { matrix: numbers(1), norm: numbers(100) };
      const parameters = new Map([
        ['matrix', { shape: [1, count], data: start.matrix.slice() }],
        ['norm', { shape: [count], data: start.norm.slice() }],
      ]);
      const optimizer = await AdamW.create(parameters, { weightDecay: 0.1, clipNorm: 100 });
      const gradients = Array.from({ length: 20 }, (_, step) => ({
        matrix: numbers(3 * step + 7),
        norm: numbers(5 * step),
      }));
      gradients.forEach((each, i) => {
        optimizer.step(new Map(Object.entries(each)), { step: i + 1, learningRate: 0.01 });
      });
      for (const [name, decay] of [
        ['matrix', 0.1],
        ['norm', 0],
      ] as const) {
        const expected = [...start[name]].map((x, i) =>
          slowAdamW(
            x,
            gradients.map((each) => each[name][i]!),
            { rate: 0.01, decay },
          ),
        );
        const found = [...parameters.get(name)!.data];
        expect(found).toHaveLength(count);
        found.forEach((x, i) => {
          expect(x).toBeCloseTo(expected[i]!, 5);
        });
      }
    },
  );

  test('fails with the name of a parameter whose update overflows', async () => {
    const parameters = new Map([
      ['good', { shape: [1, 1], data: Float32Array.of(1) }],
      ['bad', { shape: [5, 1], data: Float32Array.of(1, 1, 1, 1, -3.4e38) }],
    ]);
    const optimizer = await AdamW.create(parameters);
    const gradients = new Map([
      ['good', Float32Array.of(1)],
      ['bad', new Float32Array(5).fill(1)],
    ]);
    expect(() => optimizer.step(gradients, { step: 1, learningRate: 1e37 })).toThrow('the update makes bad overflow');
  });

  test('rejects more weights than its memory can hold, before it allocates any', async () => {
    await expect(AdamWKernel.create([2 ** 28, 1])).rejects.toThrow(
      "268435460 weights to train at once, and AdamW's memory holds 268435456",
    );
  });

  test('clips by the norm of all gradients together', async () => {
    const run = async (scale: number) => {
      const parameters = new Map([['x', { shape: [2, 1], data: Float32Array.of(1, 1) }]]);
      const optimizer = await AdamW.create(parameters, { clipNorm: 1 });
      const norm = optimizer.step(new Map([['x', Float32Array.of(3 * scale, 4 * scale)]]), {
        step: 1,
        learningRate: 0.1,
      });
      return { norm, moments: [...optimizer.moments.get('x')!.m] };
    };
    const [ten, thousand] = [await run(10), await run(1000)];
    expect(ten.norm).toBeCloseTo(50);
    expect(ten.moments[0]).toBeCloseTo(thousand.moments[0]!, 6);
  });

  test.each([1, 3, 4, 7, 12])('computes the norm over all %i numbers of each gradient', async (count) => {
    const gradient = Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));
    const parameters = () => ({ shape: [count], data: new Float32Array(count) });
    const optimizer = await AdamW.create(
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

  test('fails with the name of a gradient that is not finite, and changes nothing', async () => {
    const parameters = new Map([
      ['good', { shape: [1, 1], data: Float32Array.of(1) }],
      ['bad', { shape: [1, 1], data: Float32Array.of(1) }],
    ]);
    const optimizer = await AdamW.create(parameters);
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
