/** The experts of an import: adapters are checked and copied byte by byte, prompts are written. */
import { copyFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { expertFiles } from '#gpu-backend/model/bundle-files.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { cleanPrompt } from '#gpu-backend/model/expert-prompt.ts';
import { foundInstead } from '#gpu-backend/model/found-instead.ts';
import { type BundleHead, loadExpert } from '#gpu-backend/model/load-bundle.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { ExpertRole, Manifest } from '#gpu-backend/model/manifest.ts';
import { exists } from './read-text.ts';

/** An adapter as PEFT saves it, a system prompt, both, or neither: then it is the base alone. */
export type ExpertSource = { adapter?: string | undefined; prompt?: string | undefined };

/** The expert's entry in plimsoll.json. An expert's folder is named after its role. */
export function expertEntry(role: ExpertRole, { adapter, prompt }: ExpertSource): Manifest['experts'][number] {
  return {
    name: role,
    role,
    ...(adapter === undefined && { adapter: false }),
    ...(prompt !== undefined && { prompt: true }),
  };
}

/**
 * Puts an expert's files into the bundle's folder: the adapter byte by byte, and the prompt as the
 * model reads it, so its SHA-256 is the one in receipts. Throws a BundleError if one of them is
 * missing or is no text.
 */
export async function copyExpert(role: ExpertRole, { adapter, prompt }: ExpertSource, folder: string): Promise<void> {
  const files = expertFiles(role);
  makeFolder(join(folder, dirname(files.config)));
  if (prompt !== undefined) await writeFile(join(folder, files.prompt), cleanPrompt(prompt, files.prompt));
  if (adapter === undefined) return;
  if (!(await exists(join(adapter, basename(files.weights)))) && (await exists(join(adapter, 'adapter_model.bin')))) {
    const fault = { found: 'only adapter_model.bin', wanted: 'safetensors: save it again with a newer PEFT' };
    throw new CheckpointError(join(adapter, basename(files.weights)), fault);
  }
  for (const file of [files.config, files.weights]) {
    await copyRegular(join(adapter, basename(file)), join(folder, file)).catch((cause: unknown) => {
      const fault = { found: foundInstead(cause), wanted: 'a LoRA adapter as PEFT saves it' };
      throw new CheckpointError(join(adapter, basename(file)), fault, { cause });
    });
  }
}

/** A pipe or a device might never end. */
async function copyRegular(from: string, to: string): Promise<void> {
  const found = await stat(from);
  if (!found.isFile()) throw new Error(found.isDirectory() ? 'a folder' : 'no regular file');
  await copyFile(from, to);
}

/** Throws if a copied expert cannot be served on this base. Errors name the user's own files. */
export async function checkExpert(
  role: ExpertRole,
  source: ExpertSource,
  { folder, head }: { folder: string; head: BundleHead },
): Promise<void> {
  await loadExpert(folder, expertEntry(role, source), head).catch((error: unknown) => {
    if (!(error instanceof BundleError) || source.adapter === undefined) throw error;
    const problem = error.message.slice(error.file.length + 2);
    throw new BundleError(join(source.adapter, basename(error.file)), problem, { cause: error });
  });
}
