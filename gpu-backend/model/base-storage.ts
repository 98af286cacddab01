/**
 * How the serving graph gets at the base's weights: floats in memory, floats that stay in their
 * file, or quantised weights that stay in their file. Linear weights keep Hugging Face's layout
 * `[out, in]`, which the products read as it is.
 *
 * A float kernel wants f32, in a layout of its own. onnxruntime makes that from the mapped file,
 * one weight after another while it loads, and lets go of each original. Weights in F16 or BF16 are
 * cast on the way. So nothing is held twice but a tied table, which is read as rows too: those rows
 * come from the file, in its own type. With `rowsInF32` they come from the cast table. WebGPU needs
 * that: it has no layout of its own to hold, and on some devices no F16.
 */
import type { Graph, Value } from '../graph/graph.ts';
import type { DType } from '../graph/onnx-format.ts';
import { cast, gather, gemm } from '../graph/ops.ts';
import type { DecoderConfig } from './config.ts';
import type { BaseWeights } from './decoder.ts';
import { quantisedTensors } from './quantise.ts';
import { quantisedProducts } from './quantised-products.ts';
import { typeOfQuants } from './quantised-types.ts';
import type { StoredBase } from './stored-base.ts';
import { EMBEDDING, EMBEDDING_WEIGHT, HEAD } from './table-names.ts';
import type { Tensor } from './tensor.ts';

/** Adds the weights to a graph as they are asked for. */
export type BaseStorage = (graph: Graph) => BaseWeights;

/** @param weights by Hugging Face's names, linear weights as `[out, in]` */
export function baseInMemory(weights: ReadonlyMap<string, Tensor>, config: DecoderConfig): BaseStorage {
  return (graph) =>
    weightsAsF32((name) => {
      const tensor = weights.get(name);
      if (tensor === undefined) throw new Error(`the serving graph needs the weight "${name}"`);
      return graph.once(name, () => graph.initializer(name, 'float', tensor.shape, tensor.data));
    }, config);
}

/**
 * The session must be told the folder (`weightsFolder`).
 *
 * @param reads what the graph is for, if that makes a difference
 */
export function baseInFile(
  base: StoredBase,
  config: DecoderConfig,
  { rowsInF32 = false, reads = 'answer' }: { rowsInF32?: boolean; reads?: 'prompt' | 'answer' } = {},
): BaseStorage {
  return (graph) => {
    const stored = storedTensors(graph, base);
    const floats = weightsAsF32(stored, config, { rowsInF32 });
    if (base.quantised === null) return floats;
    const { type, arithmetic } = base.quantised;
    const mixed = reads === 'answer' ? 'fast' : 'exact';
    const shapeOf = (name: string) => base.tensors.get(quantisedTensors(name, [0, 0], type).quants.name)!.shape;
    const products = quantisedProducts({
      arithmetic: arithmetic === 'mixed' ? mixed : arithmetic,
      typeOf: (name) => typeOfQuants(shapeOf(name)),
      nibbles: (name) => {
        const { quants } = quantisedTensors(name, [0, 0], type);
        // openStoredBase has checked that there are three.
        const [rows, blocks, bytes] = shapeOf(name) as [number, number, number];
        return stored(quants.name, [rows, 2 * blocks, bytes / 2]);
      },
      parts: (name) => {
        const { quants, scales, minima } = quantisedTensors(name, [0, 0], type);
        return { quants: stored(quants.name), scales: stored(scales.name), minima: stored(minima.name) };
      },
    });
    const isQuantised = (module: string) => !base.tensors.has(`${module}.weight`);
    const head = config.tie_word_embeddings ? EMBEDDING : HEAD;
    return {
      vector: floats.vector,
      embed: (ids) => (isQuantised(EMBEDDING) ? products.rows(ids, EMBEDDING_WEIGHT) : floats.embed(ids)),
      linear: (x, module, bias) =>
        isQuantised(module) ? products.linear(x, `${module}.weight`, bias) : floats.linear(x, module, bias),
      head: (hidden) => (isQuantised(head) ? products.linear(hidden, `${head}.weight`, null) : floats.head(hidden)),
    };
  };
}

/** `dims` if the bytes are to be read in another shape. */
type Named = (name: string, dims?: number[]) => Value;

/** `weights` may have any float type. What is computed is f32. */
function weightsAsF32(
  weights: Named,
  config: DecoderConfig,
  { rowsInF32 = false }: { rowsInF32?: boolean } = {},
): BaseWeights {
  const inF32 = (name: string) => {
    const weight = weights(name);
    return weight.graph.once(`${name} as f32`, () => cast(weight, 'float'));
  };
  const linear = (x: Value, module: string, plus: Value | null) =>
    gemm(x, inF32(`${module}.weight`), { transB: true, plus });
  return {
    vector: inF32,
    embed: (ids) =>
      rowsInF32 ? gather(inF32(EMBEDDING_WEIGHT), ids) : cast(gather(weights(EMBEDDING_WEIGHT), ids), 'float'),
    linear,
    head: (hidden) => linear(hidden, config.tie_word_embeddings ? EMBEDDING : HEAD, null),
  };
}

const DTYPES: Readonly<Record<string, DType>> = { F32: 'float', F16: 'float16', BF16: 'bfloat16', U8: 'uint8' };

function storedTensors(graph: Graph, { file, tensors }: StoredBase): Named {
  return (name, dims) => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`the serving graph needs the weight "${name}"`);
    const { dtype, shape, offset, bytes } = tensor;
    const id = dims === undefined ? name : `${name} [${dims}]`;
    // openStoredBase has checked the types.
    const type = DTYPES[dtype]!;
    return graph.once(id, () => graph.externalInitializer(id, type, dims ?? shape, { file, offset, bytes }));
  };
}
