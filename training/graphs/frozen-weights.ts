/**
 * Adds a base's weights to a graph as constants. Frozen weights need no gradients, and each is
 * stored only once, no matter how often it is used. As constants they are packed for the products
 * once, when a session is made, forwards and backwards; as inputs they would be packed in every
 * step (docs/decisions).
 */
import type { Graph, Value } from '#gpu-backend/graph/graph.ts';
import type { DType } from '#gpu-backend/graph/onnx-format.ts';
import { add, cast, gather, matmul } from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { type BaseWeights, floatWeights } from '#gpu-backend/model/decoder.ts';
import type { KernelTensor } from '#gpu-backend/model/serving-graph.ts';
import type { StoredBase } from '#gpu-backend/model/stored-base.ts';
import { EMBEDDING_WEIGHT, HEAD_WEIGHT } from '#gpu-backend/model/table-names.ts';

/** In memory, by Hugging Face's names; linear weights are `[in, out]`. */
type FrozenWeights = ReadonlyMap<string, KernelTensor>;

/** In memory, or in a bundle's file, which sessions map: they hold only what they pack of it. */
export type FrozenBase = FrozenWeights | StoredBase;

export const isStored = (base: FrozenBase): base is StoredBase => 'file' in base;

export function frozenWeights(graph: Graph, config: DecoderConfig, base: FrozenBase): BaseWeights {
  return isStored(base) ? storedWeights(graph, config, base) : weightsInMemory(graph, config, base);
}

function weightsInMemory(graph: Graph, config: DecoderConfig, base: FrozenWeights): BaseWeights {
  const stored = (name: string) => {
    const tensor = base.get(name);
    if (tensor === undefined) throw new Error(`the base lacks the weight "${name}"`);
    return graph.once(name, () => graph.initializer(name, 'float', tensor.shape, tensor.data));
  };
  return floatWeights(stored, config);
}

const FLOATS: Readonly<Record<string, DType>> = { F32: 'float', F16: 'float16', BF16: 'bfloat16' };

/**
 * Linear weights are `[out, in]` in the file. Those in half precision are cast once, on loading.
 */
function storedWeights(graph: Graph, config: DecoderConfig, { file, tensors }: StoredBase): BaseWeights {
  const stored = (name: string): Value => {
    const tensor = tensors.get(name);
    const dtype = FLOATS[tensor?.dtype ?? ''];
    if (tensor === undefined || dtype === undefined) {
      const found = tensor === undefined ? 'no tensor (a quantised bundle has blocks instead)' : `type ${tensor.dtype}`;
      throw new Error(`${file}: ${name}: found ${found}, wanted weights in floating point, as training needs them`);
    }
    const { shape, offset, bytes } = tensor;
    return graph.once(name, () => graph.externalInitializer(name, dtype, shape, { file, offset, bytes }));
  };
  const inF32 = (name: string) => graph.once(`${name} as f32`, () => cast(stored(name), 'float'));
  const product = (x: Value, name: string) => matmul(x, inF32(name), { transB: true });
  return {
    vector: inF32,
    embed: (ids) => cast(gather(stored(EMBEDDING_WEIGHT), ids), 'float'),
    linear: (x, module, bias) => {
      const y = product(x, `${module}.weight`);
      return bias === null ? y : add(y, bias);
    },
    head: (hidden) => product(hidden, config.tie_word_embeddings ? EMBEDDING_WEIGHT : HEAD_WEIGHT),
  };
}
