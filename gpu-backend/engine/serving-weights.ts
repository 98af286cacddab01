/**
 * Turns a bundle's weights into those of the serving graph: transposes linear weights, and stacks
 * experts and routers side by side.
 */
import { type ExpertLayer, layerRank } from '../model/adapter.ts';
import { transposeLinear } from '../model/kernel-layout.ts';
import type { Bundle } from '../model/load-bundle.ts';
import type { LayersRouter } from '../model/router.ts';
import type { KernelTensor, ServingExperts, ServingWeights } from '../model/serving-graph.ts';

export function servingWeights({ config, weights, experts, routers }: Bundle): ServingWeights {
  const base = new Map([...weights].map(([name, tensor]) => [name, transposeLinear(name, tensor)]));
  const rank = Math.max(...experts.flatMap((expert) => expert.layers.map(layerRank)));
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    return stackExperts(
      experts.map((expert) => expert.layers[layer]!),
      rank,
    );
  });
  const router = routers.layers && stackRouter(routers.layers, experts);
  return { base, lora: { rank, layers, router } };
}

/**
 * `weight [F, E]` and `bias [E]` of each layer, with a column for each expert in the bundle's
 * order: alpha for the safety expert, beta for the other.
 */
function stackRouter({ layers }: LayersRouter, experts: Bundle['experts']): ServingExperts['router'] {
  return layers.map(({ alpha, beta }) => {
    const gates = experts.map(({ role }) => (role === 'safety' ? alpha : beta));
    const F = alpha.weight.length;
    const weight = Float32Array.from({ length: F * gates.length }, (_, i) => {
      return gates[i % gates.length]!.weight[Math.floor(i / gates.length)]!;
    });
    const bias = Float32Array.from(gates, (gate) => gate.bias);
    return { weight: { shape: [F, gates.length], data: weight }, bias: { shape: [gates.length], data: bias } };
  });
}

/**
 * `a [F, E*r]` and `b [E*r, d]`: expert e owns the block e*r..(e+1)*r. `b` includes the scale. An
 * expert of a smaller rank fills its block with zeros, which add nothing.
 */
function stackExperts(layers: readonly ExpertLayer[], rank: number): { a: KernelTensor; b: KernelTensor } {
  const wide = layers.length * rank;
  const [, F] = layers[0]!.a.shape as [number, number];
  const [d] = layers[0]!.b.shape as [number, number];
  const a = new Float32Array(F * wide);
  const b = new Float32Array(wide * d);
  layers.forEach((layer, e) => {
    const own = layerRank(layer);
    const { a: down, b: up, scale } = layer; // [own, F], [d, own]
    for (let r = 0; r < own; r++) {
      const column = e * rank + r;
      for (let f = 0; f < F; f++) a[f * wide + column] = down.data[r * F + f]!;
      for (let out = 0; out < d; out++) b[column * d + out] = scale * up.data[out * own + r]!;
    }
  });
  return { a: { shape: [F, wide], data: a }, b: { shape: [wide, d], data: b } };
}
