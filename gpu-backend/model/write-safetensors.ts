/**
 * Writes safetensors, the counterpart of read-safetensors.ts. Tensors keep the order of the map.
 */
import { open } from 'node:fs/promises';
import { BundleError } from './bundle-error.ts';
import { encodeHalf } from './half.ts';
import { elementCount, formatShape, type Tensor } from './tensor.ts';

export type WeightType = 'f16' | 'f32';

/** The largest finite half. A larger weight would be saved as infinity. */
const HALF_MAX = 65_504;

function toBytes(name: string, { shape, data }: Tensor, dtype: WeightType, file: string): Uint8Array {
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
  const bytesPerValue = dtype === 'f16' ? 2 : 4;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const [name, { shape }] of tensors) {
    const end = offset + elementCount(shape) * bytesPerValue;
    header[name] = { dtype: dtype.toUpperCase(), shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // The format pads the JSON with spaces, so that the data is aligned to eight bytes.
  const padded = new Uint8Array(Math.ceil(json.byteLength / 8) * 8).fill(0x20);
  padded.set(json);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.byteLength), true);

  const handle = await open(path, 'w');
  try {
    await handle.writeFile(length);
    await handle.writeFile(padded);
    for (const [name, tensor] of tensors) await handle.writeFile(toBytes(name, tensor, dtype, file));
    // Some file systems report a full disk only now, and a caller that replaces an older file with
    // this one must know that first.
    await handle.sync();
  } finally {
    await handle.close();
  }
}
