/**
 * Adds a base's weights to a graph as constants. Frozen weights need no gradients, and each is
 * stored only once, no matter how often it is used.
 */
import type { Graph } from '#gpu-backend/graph/graph.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { type BaseWeights, floatWeights } from '#gpu-backend/model/decoder.ts';
import type { KernelTensor } from '#gpu-backend/model/serving-graph.ts';

export type FrozenWeights = ReadonlyMap<string, KernelTensor>;

export function frozenWeights(graph: Graph, config: DecoderConfig, base: FrozenWeights): BaseWeights {
  const stored = (name: string) => {
    const tensor = base.get(name);
    if (tensor === undefined) throw new Error(`the base lacks the weight "${name}"`);
    return graph.once(name, () => graph.initializer(name, 'float', tensor.shape, tensor.data));
  };
  return floatWeights(stored, config);
}
