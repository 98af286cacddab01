/**
 * Which tensors a bundle gets from a source, and in which bytes. The plan is made from names,
 * shapes and types alone, so a source that does not fit is refused before any weight is read.
 */

import { ownBlocks } from '#gpu-backend/gguf/own-blocks.ts';
import type { BufferPool } from '#gpu-backend/model/buffer-pool.ts';
import { checkShapes } from '#gpu-backend/model/check-tensors.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { type DecoderConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { assertFinite, isFloatType } from '#gpu-backend/model/finite-check.ts';
import { isQuantisable, quantise, quantisedTensors } from '#gpu-backend/model/quantise.ts';
import { usualType } from '#gpu-backend/model/quantised-types.ts';
import type { PlannedTensor } from '#gpu-backend/model/safetensors-writer.ts';
import { EMBEDDING_WEIGHT, HEAD_WEIGHT } from '#gpu-backend/model/table-names.ts';
import type { TensorSource } from '#gpu-backend/model/tensor-source.ts';
import { tensorBytes } from '#gpu-backend/model/write-safetensors.ts';

export const WEIGHTS = ['f32', 'f16', 'int8', 'int4'] as const;
export type Weights = (typeof WEIGHTS)[number];

/** One tensor of the source: what it becomes, and the bytes of that, in the same order. */
export type PlannedWeight = {
  name: string;
  outputs: PlannedTensor[];
  encode: (pool: BufferPool) => Promise<Uint8Array<ArrayBuffer>[]>;
};

/** Buffers that old checkpoints hold, and that follow from config.json. */
const COMPUTED = /\.rotary_emb\.inv_freq$/;

/**
 * Without `weights`, floats keep the type that they have, bf16 too: it is exact, it takes half the
 * room of f32, and a backend reads all three. Quantised weights become f32, because f16 would round
 * scale times quant once more.
 */
export function planWeights(
  source: TensorSource,
  config: DecoderConfig,
  weights: Weights | undefined,
): PlannedWeight[] {
  const shapes = weightShapes(config);
  checkSource(source, shapes);
  const keep = weights === undefined && source.names().every((name) => isFloatType(source.info(name).dtype));
  return [...shapes].map(([name, shape]) => {
    if (keep) return asItIs(source, name);
    if ((weights === 'int8' || weights === 'int4') && isQuantisable(shape)) {
      return quantised(source, name, usualType(name, weights));
    }
    return asFloat(source, name, weights === 'f16' ? 'f16' : 'f32');
  });
}

/** Comes before all that makes something for each layer: a config may claim a billion of them. */
export function checkLayerCount(source: TensorSource, { num_hidden_layers: layers }: DecoderConfig): void {
  const most = source.names().length;
  if (layers <= most) return;
  const fault = { key: 'num_hidden_layers', found: `${layers}, but only ${most} tensors`, wanted: 'tensors for each' };
  throw new CheckpointError(source.file, fault);
}

/** What a source may hold beside the wanted tensors is left out. */
function checkSource(source: TensorSource, shapes: ReadonlyMap<string, number[]>): void {
  const names = source.names().filter((name) => !COMPUTED.test(name) && !isTiedHead(name, shapes));
  const found = new Map(names.map((name) => [name, source.info(name)]));
  checkShapes(found, shapes, { file: source.file, why: ', as the config says' });
}

/** Some files hold the head although it is the embedding. `checkTiedHead` compares the two. */
const isTiedHead = (name: string, shapes: ReadonlyMap<string, number[]>) =>
  name === HEAD_WEIGHT && !shapes.has(HEAD_WEIGHT);

/** Throws if the file has a head of its own although config.json says that it has none. */
export async function checkTiedHead(source: TensorSource, config: DecoderConfig): Promise<void> {
  if (!config.tie_word_embeddings || !source.names().includes(HEAD_WEIGHT)) return;
  const [embedding, head] = [await source.read(EMBEDDING_WEIGHT), await source.read(HEAD_WEIGHT)];
  if (embedding.length === head.length && embedding.every((value, i) => value === head[i])) return;
  throw new CheckpointError(source.file, {
    key: `tensor ${HEAD_WEIGHT}`,
    found: 'other numbers than in the embedding',
    wanted: 'the same, because config.json says tie_word_embeddings',
  });
}

function asItIs(source: TensorSource, name: string): PlannedWeight {
  const { dtype, shape } = source.info(name);
  if (!isFloatType(dtype)) throw new TypeError(`tensor ${name}: ${dtype} is no type of floats`);
  return {
    name,
    outputs: [{ name, dtype, shape }],
    encode: async (pool) => {
      const bytes = await source.readBytes(name, pool);
      assertFinite(bytes, dtype, { file: source.file, key: `tensor ${name}` });
      return [bytes];
    },
  };
}

function asFloat(source: TensorSource, name: string, type: 'f16' | 'f32'): PlannedWeight {
  const { shape } = source.info(name);
  return {
    name,
    outputs: [{ name, dtype: type === 'f16' ? 'F16' : 'F32', shape }],
    encode: async (pool) => {
      const data = await readFinite(source, name, pool);
      return [tensorBytes(name, { shape, data }, type, source.file)];
    },
  };
}

function quantised(source: TensorSource, name: string, type: 'int8' | 'int4'): PlannedWeight {
  const { dtype, shape } = source.info(name);
  // The caller knows that it is a matrix.
  const [rows, columns] = shape as [number, number];
  const parts = quantisedTensors(name, [rows, columns], type);
  const own = ownBlocks(dtype, type);
  const matrix = async () => {
    if (own === undefined) return quantise(await readFinite(source, name), type);
    const found = own(await source.readBytes(name), rows * columns);
    for (const numbers of [found.scales, found.minima]) {
      assertFinite(numbers, 'F32', { file: source.file, key: `tensor ${name}` });
    }
    return found;
  };
  return {
    name,
    outputs: [parts.quants, parts.scales, parts.minima],
    encode: async () => {
      const { quants, scales, minima } = await matrix();
      return [quants, new Uint8Array(scales.buffer), new Uint8Array(minima.buffer)];
    },
  };
}

async function readFinite(source: TensorSource, name: string, pool?: BufferPool): Promise<Float32Array<ArrayBuffer>> {
  const data = await source.read(name, pool);
  assertFinite(data, 'F32', { file: source.file, key: `tensor ${name}` });
  return data;
}
