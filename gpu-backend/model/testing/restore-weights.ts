/** Writes the weights of a bundle again, in another type. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BUNDLE_FILES } from '../bundle-files.ts';
import type { Manifest } from '../manifest.ts';
import { isQuantisable, type QuantisedType, quantise, quantisedTensors } from '../quantise.ts';
import { usualType } from '../quantised-types.ts';
import { readSafetensors } from '../read-safetensors.ts';
import { encodeSafetensors, safetensorsBytes } from './make-safetensors.ts';

/** `dir` holds a bundle in f32. Matrices get the types of `typeOf`, by default an import's. */
export async function restoreWeights(
  dir: string,
  as: 'F32' | 'F16' | 'BF16' | Manifest['weights'],
  typeOf: (name: string, type: QuantisedType) => QuantisedType = usualType,
): Promise<void> {
  const file = join(dir, BUNDLE_FILES.weights);
  const tensors = await readSafetensors(file);
  if (typeof as === 'string') return writeFile(file, encodeSafetensors(tensors, as));
  const header: Record<string, unknown> = {};
  const data: Uint8Array[] = [];
  let offset = 0;
  const put = (
    name: string,
    { dtype, shape }: { dtype: string; shape: number[] },
    array: Float32Array | Uint8Array,
  ) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.byteLength] };
    data.push(bytes);
    offset += bytes.byteLength;
  };
  for (const [name, tensor] of tensors) {
    if (!isQuantisable(tensor.shape)) {
      put(name, { dtype: 'F32', shape: tensor.shape }, tensor.data);
      continue;
    }
    const type = typeOf(name, as!.type);
    const matrix = quantise(tensor.data, type);
    // isQuantisable says that it is a matrix.
    const parts = quantisedTensors(name, tensor.shape as [number, number], type);
    for (const part of ['quants', 'scales', 'minima'] as const) put(parts[part].name, parts[part], matrix[part]);
  }
  await writeFile(file, safetensorsBytes(header, Buffer.concat(data)));
  const manifestFile = join(dir, BUNDLE_FILES.manifest);
  const manifest: object = JSON.parse(await readFile(manifestFile, 'utf8'));
  await writeFile(manifestFile, JSON.stringify({ ...manifest, weights: as }));
}
