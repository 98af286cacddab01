/**
 * Which tensors a bundle gets from a source, and in which bytes. The plan is made from names,
 * shapes and types alone, so a source that does not fit is refused before any weight is read.
 */

import { ownBlocks } from '#gpu-backend/gguf/own-blocks.ts';
import { assertFinite } from '#gpu-backend/model/assert-finite.ts';
import type { BufferPool } from '#gpu-backend/model/buffer-pool.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { type DecoderConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { isQuantisable, quantise, quantisedTensors } from '#gpu-backend/model/quantise.ts';
import { usualType } from '#gpu-backend/model/quantised-types.ts';
import type { PlannedTensor } from '#gpu-backend/model/safetensors-writer.ts';
import { EMBEDDING_WEIGHT, HEAD_WEIGHT } from '#gpu-backend/model/table-names.ts';
import { formatShape } from '#gpu-backend/model/tensor.ts';
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

const FLOATS = ['F32', 'F16', 'BF16'] as const;
type Float = (typeof FLOATS)[number];
/** Whether weights of this type are plain floats. */
export const isFloat = (dtype: string): dtype is Float => FLOATS.some((float) => float === dtype);

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
  checkTensors(source, shapes);
  const keep = weights === undefined && source.names().every((name) => isFloat(source.info(name).dtype));
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

function checkTensors(source: TensorSource, shapes: ReadonlyMap<string, number[]>): void {
  const names = new Set(source.names());
  const refuse = (name: string, found: string, wanted: string) =>
    new CheckpointError(source.file, { key: `tensor ${name}`, found, wanted });
  for (const [name, shape] of shapes) {
    if (!names.has(name)) throw refuse(name, 'no tensor of this name', `shape ${formatShape(shape)}`);
    const found = source.info(name).shape;
    if (formatShape(found) !== formatShape(shape)) {
      throw refuse(name, `shape ${formatShape(found)}`, `${formatShape(shape)}, as the config says`);
    }
  }
  for (const name of names) {
    if (shapes.has(name) || COMPUTED.test(name) || isTiedHead(name, shapes)) continue;
    throw refuse(name, `shape ${formatShape(source.info(name).shape)}`, 'no tensor of this name');
  }
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
  // planWeights has looked.
  const float = dtype as Float;
  return {
    name,
    outputs: [{ name, dtype: float, shape }],
    encode: async (pool) => {
      const bytes = await source.readBytes(name, pool);
      assertFinite(bytes, float, { file: source.file, key: `tensor ${name}` });
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
    const key = `tensor ${name}`;
    for (const { buffer } of [found.scales, found.minima]) {
      assertFinite(new Uint8Array(buffer), 'F32', { file: source.file, key });
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
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  assertFinite(bytes, 'F32', { file: source.file, key: `tensor ${name}` });
  return data;
}
