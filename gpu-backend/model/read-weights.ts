/** The base's weights of a bundle in memory, as f32, whatever they are in model.safetensors. */
import { BUNDLE_FILES } from './bundle-files.ts';
import { type DecoderConfig, weightShapes } from './config.ts';
import type { Manifest } from './manifest.ts';
import { openSafetensors } from './open-safetensors.ts';
import { dequantise, isQuantisable, quantisedTensors } from './quantise.ts';
import { typeOfQuants } from './quantised-types.ts';
import { readSafetensors } from './read-safetensors.ts';
import { findWeights } from './shared-base.ts';
import { checkStored } from './stored-base.ts';
import type { Tensor } from './tensor.ts';

/** By Hugging Face's names. Only a quantised bundle's names, types and shapes are checked here. */
export async function readWeights(
  dir: string,
  { config, manifest }: { config: DecoderConfig; manifest: Manifest },
): Promise<Map<string, Tensor>> {
  const file = BUNDLE_FILES.weights;
  const path = await findWeights(dir, manifest);
  if (manifest.weights === undefined) return readSafetensors(path, file);
  const source = await openSafetensors(path, file);
  try {
    checkStored(source, { file, config, manifest });
    const weights = new Map<string, Tensor>();
    for (const [name, shape] of weightShapes(config)) {
      if (!isQuantisable(shape)) {
        weights.set(name, { shape, data: await source.read(name) });
        continue;
      }
      // isQuantisable says that it is a matrix.
      const parts = quantisedTensors(name, shape as [number, number], manifest.weights.type);
      const type = typeOfQuants(source.info(parts.quants.name).shape);
      const quants = await source.readBytes(parts.quants.name);
      // Both are F32 tensors, which are read as arrays of their own.
      const [scales, minima] = [await source.read(parts.scales.name), await source.read(parts.minima.name)];
      weights.set(name, { shape, data: dequantise({ type, quants, scales, minima }) });
    }
    return weights;
  } finally {
    await source.close();
  }
}
