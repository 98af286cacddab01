/**
 * A folder with everything that a bundle adds to its base, and no base: experts, routers, a probe,
 * and `experts.json`, which names the base that they were trained on. So experts of a few megabytes
 * can be kept and shipped without the model of somebody else, and an import puts them on it
 * (docs/bundle.md). Its files have the names that they have in a bundle.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BundleError } from './bundle-error.ts';
import { expertFilesIn, probeFiles, readJson, refuseUnusedFiles } from './bundle-files.ts';
import { CheckpointError } from './checkpoint-error.ts';
import { fileChunks } from './file-chunks.ts';
import { foundInstead } from './found-instead.ts';
import { checkAdditions, DataSource, Manifest, Sha256, SourceFile } from './manifest.ts';
import { routerFiles } from './router.ts';

export const EXPERTS_MANIFEST = 'experts.json';
/** Raised when an old reader would misread a new folder. */
export const EXPERTS_FORMAT = 1;

const { experts, router, probes, default_weight, sampling, licence } = Manifest.shape;

/** The content of `experts.json`. The format is ours, so unknown keys are refused. */
export const ExpertsManifest = z
  .strictObject({
    format: z.literal(EXPERTS_FORMAT),
    base: z.strictObject({
      /** Of the `model.safetensors` that the experts were trained on. */
      sha256: Sha256,
      /** The files that it was imported from, if it was. */
      files: z.array(SourceFile).default([]),
    }),
    ...{ experts, router, probes, default_weight, sampling, licence },
    provenance: z.strictObject({ description: z.string().min(1), data: z.array(DataSource) }),
  })
  .superRefine(checkAdditions);
export type ExpertsManifest = z.infer<typeof ExpertsManifest>;

export type ExpertsFolder = {
  dir: string;
  manifest: ExpertsManifest;
  /**
   * SHA-256, in lower-case hex, over `experts.json` and all files that it counts on. A model card
   * is not part of it.
   */
  digest: string;
};

/**
 * Opens the folder. Throws a BundleError that names the file, with its folder, if one is missing or
 * is not as it should be. What adapters and routers hold can only be checked against a base.
 */
export async function openExpertsFolder(dir: string): Promise<ExpertsFolder> {
  try {
    const manifest = await readJson(dir, EXPERTS_MANIFEST, ExpertsManifest);
    await refuseUnusedFiles(dir, { experts: manifest.experts, probes: manifest.probes }, EXPERTS_MANIFEST);
    const files = [EXPERTS_MANIFEST, ...expertFilesIn(manifest), ...routerFiles(manifest), ...probeFiles(manifest)];
    return { dir, manifest, digest: await digestOf(dir, files) };
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw new BundleError(join(dir, error.file), error.message.slice(error.file.length + 2), { cause: error });
  }
}

async function digestOf(dir: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) {
    const found = await stat(join(dir, file)).catch((cause: unknown) => {
      const fault = { found: foundInstead(cause), wanted: `a file, because ${EXPERTS_MANIFEST} counts on it` };
      throw new CheckpointError(file, fault, { cause });
    });
    // A pipe might never end.
    if (!found.isFile()) throw new CheckpointError(file, { found: 'no regular file', wanted: 'a file' });
    hash.update(`${file}\0${found.size}\0`);
    for await (const chunk of fileChunks(join(dir, file))) hash.update(chunk);
  }
  return hash.digest('hex');
}

/**
 * Throws a BundleError unless a base is the one that the experts were trained on: its
 * `model.safetensors` has the same bytes. If the user has asked to store it as another type, the
 * files that it was imported from must be the same instead.
 */
export function assertBaseOf(
  { dir, manifest: { base } }: ExpertsFolder,
  found: { sha256: string; files: readonly SourceFile[]; otherType: boolean },
): void {
  if (found.sha256 === base.sha256) return;
  const digests = new Set(found.files.map(({ sha256 }) => sha256));
  const sameSource = base.files.length > 0 && base.files.every(({ sha256 }) => digests.has(sha256));
  if (found.otherType && sameSource) return;
  throw new BundleError(
    join(dir, EXPERTS_MANIFEST),
    `base.sha256: found a base whose model.safetensors has the SHA-256 ${found.sha256}${inWords(found.files)}, ` +
      `wanted ${base.sha256}${inWords(base.files)}, which these experts were trained on; ` +
      'import that one, or train experts on this one (docs/training.md)',
  );
}

const inWords = (files: readonly SourceFile[]) => (files.length === 0 ? '' : ` (from ${sourcesInWords(files)})`);

/** Names and SHA-256 of files. In the cache, a file's name is its SHA-256. */
export function sourcesInWords(files: readonly SourceFile[]): string {
  return files.map(({ name, sha256 }) => (name === sha256 ? sha256 : `${name}, ${sha256}`)).join('; ');
}
