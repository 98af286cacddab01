/** From a bundle's weights to those of the serving graph: linear weights turned, experts stacked side by side. */
import type { KernelTensor, ServingWeights } from '../model/decoder.ts';
import { transposeLinear } from '../model/kernel-layout.ts';
import type { Bundle } from '../model/load-bundle.ts';

export function servingWeights({ config, weights, experts }: Bundle): ServingWeights {
  const base = new Map([...weights].map(([name, tensor]) => [name, transposeLinear(name, tensor)]));
  const lora = Array.from({ length: config.num_hidden_layers }, (_, layer) => stackExperts(experts, layer));
  return { base, lora };
}

/** `a [F, E*r]` and `b [E*r, d]`: expert e owns the block e*r..(e+1)*r. The scale alpha / r goes into b. */
function stackExperts(experts: Bundle['experts'], layer: number): { a: KernelTensor; b: KernelTensor } {
  const rank = experts[0]!.rank;
  const wide = experts.length * rank;
  const first = experts[0]!.layers[layer]!;
  const [, F] = first.a.shape as [number, number];
  const [d] = first.b.shape as [number, number];
  const a = new Float32Array(F * wide);
  const b = new Float32Array(wide * d);
  experts.forEach(({ layers, alpha }, e) => {
    const { a: down, b: up } = layers[layer]!; // [r, F], [d, r]
    for (let r = 0; r < rank; r++) {
      const column = e * rank + r;
      for (let f = 0; f < F; f++) a[f * wide + column] = down.data[r * F + f]!;
      for (let out = 0; out < d; out++) b[column * d + out] = (alpha / rank) * up.data[out * rank + r]!;
    }
  });
  return { a: { shape: [F, wide], data: a }, b: { shape: [wide, d], data: b } };
}
