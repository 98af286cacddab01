import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { foundInstead } from '#gpu-backend/model/found-instead.ts';
import type { ModelSource } from './model-source.ts';
import { openGgufModel } from './open-gguf-model.ts';
import { openHuggingFaceFolder } from './open-hugging-face-folder.ts';

/**
 * Opens a GGUF file or a folder in Hugging Face's layout. Close `tensors` when you are done.
 *
 * @param chatTemplate Jinja, instead of the source's own
 */
export async function openModelSource(
  path: string,
  { chatTemplate }: { chatTemplate?: string | undefined } = {},
): Promise<ModelSource> {
  const found = await stat(path).catch((cause: unknown) => {
    const fault = { found: foundInstead(cause), wanted: 'a folder of Hugging Face or a GGUF file' };
    throw new CheckpointError(path, fault, { cause });
  });
  if (found.isDirectory()) return openHuggingFaceFolder(path, { chatTemplate });
  if (path.endsWith('.safetensors')) {
    const fault = { found: 'a single file', wanted: 'the folder that it is in, with config.json and tokenizer.json' };
    throw new CheckpointError(basename(path), fault);
  }
  return openGgufModel(path, { chatTemplate });
}
