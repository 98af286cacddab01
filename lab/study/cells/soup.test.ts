import { expect, test } from 'vitest';
import type { Expert } from '#gpu-backend/model/adapter.ts';
import { createRandom } from '#training/data/random.ts';
import { soupOf } from './soup.ts';

const [F, D] = [5, 3];
const MODULE = 'model.layers.0.mlp.down_proj';

function expert(role: Expert['role'], { rank, alpha }: { rank: number; alpha: number }): Expert {
  const random = createRandom(role);
  const filled = (shape: [number, number]) => ({
    shape,
    data: Float32Array.from({ length: shape[0] * shape[1] }, () => random.next() - 0.5),
  });
  return {
    name: role,
    role,
    rank,
    alpha,
    modules: new Map([[MODULE, { a: filled([rank, F]), b: filled([D, rank]), scale: alpha / rank }]]),
  };
}

/** `scale * B A`, `[D, F]`, element by element. */
function change({ rank, modules }: Pick<Expert, 'rank' | 'modules'>): number[] {
  const { a, b, scale } = modules.get(MODULE)!;
  return Array.from({ length: D * F }, (_, at) => {
    const [d, f] = [Math.floor(at / F), at % F];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += b.data[d * rank + r]! * a.data[r * F + f]!;
    return scale * sum;
  });
}

test('adds up the weighted changes of the experts, even if their ranks differ', () => {
  const safety = expert('safety', { rank: 2, alpha: 4 });
  const helpfulness = expert('helpfulness', { rank: 3, alpha: 6 });
  const [s, h] = [change(safety), change(helpfulness)];
  for (const weight of [0, 0.25, 1]) {
    change(soupOf(safety, helpfulness, weight)).forEach((value, i) => {
      expect(value).toBeCloseTo(weight * s[i]! + (1 - weight) * h[i]!, 5);
    });
  }
});

test('refuses experts of different scales', () => {
  const safety = expert('safety', { rank: 2, alpha: 4 });
  expect(() => soupOf(safety, expert('helpfulness', { rank: 2, alpha: 2 }), 0.5)).toThrow('found 2 and 1');
});
