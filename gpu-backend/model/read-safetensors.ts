import { openSafetensors } from './open-safetensors.ts';
import type { Tensor } from './tensor.ts';

/**
 * Reads all tensors of one safetensors file as f32, from F32, F16 or BF16. Errors name the file as
 * `file`, by default its path.
 */
export async function readSafetensors(path: string, file: string = path): Promise<Map<string, Tensor>> {
  const source = await openSafetensors(path, file);
  try {
    const tensors = new Map<string, Tensor>();
    for (const name of source.names()) {
      tensors.set(name, { shape: source.info(name).shape, data: await source.read(name) });
    }
    return tensors;
  } finally {
    await source.close();
  }
}
