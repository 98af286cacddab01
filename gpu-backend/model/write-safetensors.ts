/**
 * Writes tensors in memory as safetensors, the counterpart of read-safetensors.ts. Tensors keep the
 * order of the map.
 */
import { BundleError } from './bundle-error.ts';
import { encodeHalf } from './half.ts';
import { layOutSafetensors, type PlannedTensor, SafetensorsWriter } from './safetensors-writer.ts';
import { elementCount, formatShape, type Tensor } from './tensor.ts';

export type WeightType = 'f16' | 'f32';

/** The largest finite half. A larger weight would be saved as infinity. */
const HALF_MAX = 65_504;

/** A tensor's bytes in a file. A number that does not fit f16 is an error, as is a wrong count. */
export function tensorBytes<Memory extends ArrayBufferLike>(
  name: string,
  { shape, data }: { shape: readonly number[]; data: Float32Array<Memory> },
  dtype: WeightType,
  file: string,
): Uint8Array<Memory | ArrayBuffer> {
  if (data.length !== elementCount(shape)) {
    throw new BundleError(file, `tensor ${name}: found ${data.length} values, wanted ${formatShape(shape)}`);
  }
  if (dtype === 'f32') return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const halves = encodeHalf(data);
  const overflow = halves.findIndex((half, i) => (half & 0x7fff) === 0x7c00 && Number.isFinite(data[i]));
  if (overflow !== -1) {
    throw new BundleError(
      file,
      `tensor ${name}: ${data[overflow]} does not fit f16 (at most ${HALF_MAX}); write it as f32`,
    );
  }
  return new Uint8Array(halves.buffer);
}

export async function writeSafetensors(
  path: string,
  tensors: Map<string, Tensor>,
  { dtype, file = path }: { dtype: WeightType; file?: string },
): Promise<void> {
  const type = dtype === 'f16' ? 'F16' : 'F32';
  const planned = [...tensors].map(([name, { shape }]): PlannedTensor => ({ name, dtype: type, shape }));
  const writer = await SafetensorsWriter.open(path, layOutSafetensors(planned), { file });
  try {
    for (const [name, tensor] of tensors) await writer.write(name, tensorBytes(name, tensor, dtype, file));
    await writer.sync();
  } finally {
    await writer.close();
  }
}
