/** Writes the files of a bundle that are texts. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BUNDLE_FILES, GENERATION_CONFIG } from '#gpu-backend/model/bundle-files.ts';
import type { Manifest } from '#gpu-backend/model/manifest.ts';
import type { ModelSource } from './model-source.ts';

/** All but the manifest, as the model's source has them. */
export async function writeTexts(
  folder: string,
  model: Pick<ModelSource, 'config' | 'tokenizer' | 'tokenizerConfig' | 'chatTemplate' | 'generationConfig'>,
): Promise<void> {
  const texts = {
    [BUNDLE_FILES.config]: model.config,
    [BUNDLE_FILES.tokenizer]: model.tokenizer,
    [BUNDLE_FILES.tokenizerConfig]: model.tokenizerConfig,
    [BUNDLE_FILES.chatTemplate]: model.chatTemplate,
    ...(model.generationConfig !== undefined && { [GENERATION_CONFIG]: model.generationConfig }),
  };
  for (const [file, text] of Object.entries(texts)) await writeFile(join(folder, file), text);
}

export const writeManifest = (folder: string, manifest: Manifest) =>
  writeFile(join(folder, BUNDLE_FILES.manifest), `${JSON.stringify(manifest, null, 2)}\n`);
