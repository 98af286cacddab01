import { describe, expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { createBootstrap } from './bootstrap.ts';

/** Normal draws by Box and Muller's method. */
function normal(count: number, { mean, sigma, seed }: { mean: number; sigma: number; seed: string }) {
  const random = createRandom(seed);
  const draw = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return new Map(Array.from({ length: count }, (_, i) => [`q${i}`, [mean + sigma * draw()]]));
}

describe('bootstrap', () => {
  const bootstrap = createBootstrap();

  test('matches the closed-form interval for the mean of a normal sample', () => {
    const count = 2_000;
    const values = normal(count, { mean: 3, sigma: 2, seed: 'normal' });
    const flat = [...values.values()].flat();
    const mean = flat.reduce((sum, value) => sum + value) / count;
    const sd = Math.sqrt(flat.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1));
    const half = (1.96 * sd) / Math.sqrt(count);
    const found = bootstrap.mean(values);
    expect(found.mean).toBeCloseTo(mean, 12);
    // With 2,000 resamples a 2.5 % quantile is off by about 3 % of the half-width. This is three
    // times that.
    expect(Math.abs(found.low - (mean - half))).toBeLessThan(0.1 * half);
    expect(Math.abs(found.high - (mean + half))).toBeLessThan(0.1 * half);
  });

  test('gives a paired difference a narrow interval if the questions agree on it, however much they vary in difficulty', () => {
    const easy = normal(500, { mean: 0, sigma: 10, seed: 'questions' });
    const shifted = new Map([...easy].map(([question, [value]]) => [question, [value! + 1]]));
    const { mean, low, high } = bootstrap.difference(shifted, easy);
    for (const figure of [mean, low, high]) expect(figure).toBeCloseTo(1, 9);
  });

  test('finds a difference of exactly 0 between a method and itself', () => {
    const values = normal(50, { mean: 1, sigma: 1, seed: 'same' });
    expect(bootstrap.difference(values, new Map(values))).toEqual({ mean: 0, low: 0, high: 0, questions: 50 });
  });

  test('does not depend on the order of questions', () => {
    const values = normal(80, { mean: 1, sigma: 1, seed: 'order' });
    const other = normal(80, { mean: 2, sigma: 1, seed: 'other' });
    const permuted = new Map(createRandom('permute').shuffle([...values]));
    expect(bootstrap.mean(permuted)).toEqual(bootstrap.mean(values));
    expect(bootstrap.difference(permuted, other)).toEqual(bootstrap.difference(values, other));
  });

  test('averages the seeds of a question before it averages questions', () => {
    const values = new Map([
      ['a', [0, 0, 0, 0]],
      ['b', [1]],
    ]);
    expect(bootstrap.mean(values)).toMatchObject({ mean: 0.5, low: 0, high: 1, questions: 2 });
  });

  test('names the questions that one side lacks', () => {
    const first = new Map([
      ['a', [1]],
      ['only-first', [1]],
    ]);
    const second = new Map([
      ['a', [1]],
      ['only-second', [1]],
    ]);
    expect(() => bootstrap.difference(first, second)).toThrow(/only-first, only-second/);
  });

  test('refuses an empty set, and a value that is not a number', () => {
    expect(() => bootstrap.mean(new Map())).toThrow(/no question/);
    expect(() => bootstrap.mean(new Map([['a', [Number.NaN]]]))).toThrow(/question a has no finite mean/);
  });
});
