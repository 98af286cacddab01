/** SmolLM2-135M-Instruct in f32, from its GGUF file: a bundle, and a GGUF file for llama.cpp. */
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { writeF32Gguf } from '#gpu-backend/gguf/testing/write-f32-gguf.ts';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { fileExists } from '#gpu-backend/model/bundle-files.ts';

const CACHE = path.join(import.meta.dirname, '../.plimsoll/test-models');

/** Writes the bundle of `gguf`, a path, to the new folder `dir`. Both experts are the base. */
export async function writeSmolLm2Bundle(gguf: string, dir: string): Promise<void> {
  const experts = { safety: {}, helpfulness: {} };
  await importModel({ source: gguf, out: dir, id: 'smollm2-135m-instruct', experts, weights: 'f32' });
}

/** The same model as a GGUF file of f32 weights, for llama.cpp. It is made once and kept. */
export async function smolLm2F32Gguf(gguf: string): Promise<string> {
  const name = 'SmolLM2-135M-Instruct.f32.gguf';
  if (!(await fileExists(CACHE, name))) {
    await mkdir(CACHE, { recursive: true });
    const draft = path.join(CACHE, `${name}.${process.pid}`);
    try {
      await writeF32Gguf(gguf, draft);
      await rename(draft, path.join(CACHE, name));
    } finally {
      await rm(draft, { force: true });
    }
  }
  return path.join(CACHE, name);
}
