/**
 * Rewarded soups (Ramé et al., arXiv 2306.04488): weights interpolated once, before any prompt.
 * There is no need to multiply out the two LoRA experts for this. Side by side, their changes form
 * one LoRA whose rank is the sum of both ranks, and whose B carries the shares.
 */
import type { Expert } from '#gpu-backend/model/adapter.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';

/**
 * The expert whose change is `weight` times that of `safety` plus `1 - weight` times that of
 * `helpfulness`. Both must have the same scale and change the same modules.
 */
export function soupOf(safety: Expert, helpfulness: Expert, weight: number): Omit<Expert, 'name' | 'role'> {
  const [scale, other] = [safety.alpha / safety.rank, helpfulness.alpha / helpfulness.rank];
  if (scale !== other) throw new Error(`a soup needs experts of one LoRA scale: found ${scale} and ${other}`);
  const rank = safety.rank + helpfulness.rank;
  return {
    rank,
    alpha: scale * rank,
    modules: new Map(
      [...safety.modules].map(([name, s]) => {
        const h = helpfulness.modules.get(name)!;
        return [
          name,
          { a: stackRows(s.a, h.a), b: besideEachOther(scaled(s.b, weight), scaled(h.b, 1 - weight)), scale },
        ];
      }),
    ),
  };
}

const scaled = ({ shape, data }: Tensor, by: number): Tensor => ({ shape, data: data.map((value) => value * by) });

/** Puts `[r1, n]` on top of `[r2, n]`. */
function stackRows(top: Tensor, bottom: Tensor): Tensor {
  const [rows, columns] = top.shape as [number, number];
  const data = new Float32Array(top.data.length + bottom.data.length);
  data.set(top.data);
  data.set(bottom.data, top.data.length);
  return { shape: [rows + bottom.shape[0]!, columns], data };
}

/** Puts `[m, r1]` to the left of `[m, r2]`. */
function besideEachOther(left: Tensor, right: Tensor): Tensor {
  const [rows, columns] = left.shape as [number, number];
  const width = columns + right.shape[1]!;
  const data = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    data.set(left.data.subarray(row * columns, (row + 1) * columns), row * width);
    data.set(right.data.subarray(row * right.shape[1]!, (row + 1) * right.shape[1]!), row * width + columns);
  }
  return { shape: [rows, width], data };
}
