/** The base's tensors as llama.cpp wants them, out of a bundle's model.safetensors. */
import { ggufName, PERMUTED } from '#gpu-backend/gguf/as-hugging-face.ts';
import { permuteRows } from '#gpu-backend/gguf/permute-rows.ts';
import type { WrittenTensor, WrittenType } from '#gpu-backend/gguf/write-gguf.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { type DecoderConfig, headDim, weightShapes } from '#gpu-backend/model/config.ts';
import { assertFinite, isFloatType } from '#gpu-backend/model/finite-check.ts';
import { ropeFrequencies } from '#gpu-backend/model/rope.ts';
import type { TensorSource } from '#gpu-backend/model/tensor-source.ts';
import { tensorBytes, type WeightType } from '#gpu-backend/model/write-safetensors.ts';
import { ggufArchitecture } from './decoder-metadata.ts';

/** In how many heads llama.cpp permutes the rows of a tensor; undefined if it does not. */
export function permutedHeads(name: string, config: DecoderConfig): number | undefined {
  if (!PERMUTED[ggufArchitecture(config)]) return undefined;
  if (name.includes('.q_proj')) return config.num_attention_heads;
  return name.includes('.k_proj') ? config.num_key_value_heads : undefined;
}

/**
 * Norms and biases are f32, which llama.cpp asks for. Matrices are `weights`, or what they are.
 *
 * @param source under Hugging Face's names, with the shapes of this config
 */
export function baseTensors(
  source: TensorSource,
  config: DecoderConfig,
  weights: WeightType | undefined,
): WrittenTensor[] {
  const tensors = [...weightShapes(config)].map(([name, shape]): WrittenTensor => {
    const { dtype: stored } = source.info(name);
    const dtype = shape.length === 1 ? 'F32' : typeOf(stored, weights, source.file);
    const heads = permutedHeads(name, config);
    const bytes = async () => {
      const plain = await plainBytes(source, name, dtype);
      assertFinite(plain, dtype, { file: source.file, key: `tensor ${name}` });
      return heads === undefined ? plain : permuteRows(plain, { rows: shape[0]!, heads });
    };
    return { name: ggufName(name), dtype, shape, bytes };
  });
  const factors = ropeFactors(config);
  if (factors === null) return tensors;
  const { length } = factors;
  const bytes = async () => new Uint8Array(factors.buffer);
  return [...tensors, { name: 'rope_freqs.weight', dtype: 'F32', shape: [length], bytes }];
}

function typeOf(stored: string, weights: WeightType | undefined, file: string): WrittenType {
  if (weights !== undefined) return weights === 'f16' ? 'F16' : 'F32';
  if (isFloatType(stored)) return stored;
  throw new CheckpointError(file, { key: 'weights', found: stored, wanted: 'F32, F16 or BF16' });
}

async function plainBytes(source: TensorSource, name: string, dtype: WrittenType): Promise<Uint8Array> {
  const { dtype: stored, shape } = source.info(name);
  if (stored === dtype) return source.readBytes(name);
  const data = await source.read(name);
  return tensorBytes(name, { shape, data }, dtype === 'F16' ? 'f16' : 'f32', source.file);
}

/** llama.cpp keeps Llama 3.1's scaling as a divisor for each frequency; null if there is none. */
function ropeFactors(config: DecoderConfig): Float32Array<ArrayBuffer> | null {
  if (config.rope_scaling?.rope_type !== 'llama3') return null;
  const plain = ropeFrequencies({ rope_theta: config.rope_theta }, headDim(config));
  const scaled = ropeFrequencies(config, headDim(config));
  return Float32Array.from(plain, (frequency, i) => frequency / scaled[i]!);
}
