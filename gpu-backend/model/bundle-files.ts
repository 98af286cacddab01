/** Where the parts of a bundle are, and the digest that identifies exactly these weights. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type * as z from 'zod';
import { SCORE_KINDS, type ScoreKind } from '#shared/protocol/score.ts';
import { BundleError } from './bundle-error.ts';
import { duplicateKey } from './duplicate-key.ts';
import { fileChunks } from './file-chunks.ts';
import { foundInstead } from './found-instead.ts';
import { isTooDeep, TOO_DEEP } from './json-depth.ts';
import type { Manifest } from './manifest.ts';
import { readSmallFile } from './read-small-file.ts';
import { routerFiles } from './router.ts';
import { readSharedBase } from './shared-base.ts';

export const BUNDLE_FILES = {
  config: 'config.json',
  tokenizer: 'tokenizer.json',
  tokenizerConfig: 'tokenizer_config.json',
  chatTemplate: 'chat_template.jinja',
  weights: 'model.safetensors',
  manifest: 'plimsoll.json',
} as const;

/** Read if it is there. */
export const GENERATION_CONFIG = 'generation_config.json';

export const PROBE_FILES = {
  head: 'probes/second-look.json',
  weights: 'probes/second-look.safetensors',
} as const;

export function expertFiles(name: string): { config: string; weights: string; prompt: string } {
  return {
    config: `experts/${name}/adapter_config.json`,
    weights: `experts/${name}/adapter_model.safetensors`,
    prompt: `experts/${name}/prompt.txt`,
  };
}

/**
 * The files that this expert has, according to the manifest, and those that it may not have.
 *
 * @param here whether weights are in this folder, and not on an engine elsewhere
 */
function filesOf({ name, adapter = true, prompt = false }: Manifest['experts'][number], here: boolean) {
  const files = expertFiles(name);
  const all = [
    { file: files.config, wanted: adapter && here, key: 'adapter' },
    { file: files.weights, wanted: adapter && here, key: 'adapter' },
    { file: files.prompt, wanted: prompt, key: 'prompt' },
  ];
  return { present: all.filter(({ wanted }) => wanted), absent: all.filter(({ wanted }) => !wanted) };
}

/** The files of all experts that a manifest names, in the order of the digest. */
export function expertFilesIn({
  experts,
  remote,
}: Pick<Manifest, 'experts'> & Partial<Pick<Manifest, 'remote'>>): string[] {
  const sorted = experts.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return sorted.flatMap((expert) => filesOf(expert, remote === undefined).present.map(({ file }) => file));
}

export function scoreFiles(kind: ScoreKind): { config: string; weights: string; head: string } {
  return {
    config: `scores/${kind}/adapter_config.json`,
    weights: `scores/${kind}/adapter_model.safetensors`,
    head: `scores/${kind}/head.safetensors`,
  };
}

/** The files of the score heads, if a manifest names them, in the order of the digest. */
function scoreFilesIn({ scores }: Pick<Manifest, 'scores'>): string[] {
  if (scores === undefined) return [];
  return SCORE_KINDS.flatMap((kind) => {
    const { config, weights, head } = scoreFiles(kind);
    return scores[kind].adapter === false ? [head] : [config, weights, head];
  });
}

/** The files of the probe, if a manifest names one, in the order of the digest. */
export function probeFiles({ probes }: Pick<Manifest, 'probes'>): string[] {
  return probes === undefined ? [] : Object.values(PROBE_FILES);
}

/**
 * Throws a BundleError if an expert's folder holds an adapter or a prompt that the manifest does
 * not count on, if there is a probe or a score head that it does not name, or if there are weights
 * beside a shared base or in a bundle whose experts run elsewhere: whoever put them there thinks
 * that they are used.
 *
 * @param manifest the file that says it
 */
export async function refuseUnusedFiles(
  dir: string,
  {
    experts,
    base,
    probes,
    scores,
    remote,
  }: Pick<Manifest, 'experts' | 'base' | 'probes' | 'scores'> & Partial<Pick<Manifest, 'remote'>>,
  manifest: string = BUNDLE_FILES.manifest,
): Promise<void> {
  if (remote !== undefined && (await fileExists(dir, BUNDLE_FILES.weights))) {
    const problem = `remote: says that the experts run on engines elsewhere, but there is ${BUNDLE_FILES.weights}`;
    throw new BundleError(manifest, problem);
  }
  if (base !== undefined && (await fileExists(dir, BUNDLE_FILES.weights))) {
    const problem = `base: found the SHA-256 ${base.sha256} of shared weights, but there is ${BUNDLE_FILES.weights}`;
    throw new BundleError(BUNDLE_FILES.manifest, problem);
  }
  if (probes === undefined) {
    for (const file of Object.values(PROBE_FILES)) {
      if (!(await fileExists(dir, file))) continue;
      throw new BundleError(manifest, `probes: found nothing, but there is ${file}`);
    }
  }
  for (const kind of scores === undefined ? SCORE_KINDS : []) {
    const { head } = scoreFiles(kind);
    if (await fileExists(dir, head)) throw new BundleError(manifest, `scores: found nothing, but there is ${head}`);
  }
  for (const [i, expert] of experts.entries()) {
    for (const { file, key } of filesOf(expert, remote === undefined).absent) {
      if (!(await fileExists(dir, file))) continue;
      const found = remote !== undefined && key === 'adapter' ? 'found an expert that runs elsewhere' : 'found false';
      throw new BundleError(manifest, `experts.${i}.${key}: ${found}, but there is ${file}`);
    }
  }
}

export async function readText(dir: string, file: string, options: { most?: number } = {}): Promise<string> {
  return readSmallFile(join(dir, file), file, options);
}

export async function fileExists(dir: string, file: string): Promise<boolean> {
  return stat(join(dir, file)).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw new BundleError(file, `found ${foundInstead(error)}, wanted a file or nothing`, { cause: error });
    },
  );
}

/** Reads and checks a JSON file of the bundle. The error names every wrong field. */
export async function readJson<T>(dir: string, file: string, schema: z.ZodType<T>): Promise<T> {
  const text = await readText(dir, file);
  if (isTooDeep(text)) throw new BundleError(file, `found ${TOO_DEEP}, wanted JSON of a model`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BundleError(file, `not JSON: ${String(cause)}`, { cause });
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) throw new BundleError(file, `found the key ${twice} twice, wanted every key once`);
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    path.length ? `${path.join('.')}: ${message}` : message,
  );
  throw new BundleError(file, problems.join('; '), { cause: parsed.error });
}

/**
 * SHA-256, in lower-case hex, over every file that affects answers, in a fixed order. The name and
 * length of each file come before its bytes, so no byte can move from one file to the next
 * unnoticed. Model cards and licences are not part of it. A shared base is read and checked, but
 * its SHA-256 in plimsoll.json stands for its bytes.
 *
 * @param onWeights gets the bytes of model.safetensors as they are read
 */
export async function bundleDigest(
  dir: string,
  manifest: Manifest,
  { onWeights = () => {} }: { onWeights?: (bytes: Uint8Array) => void } = {},
): Promise<string> {
  const hash = createHash('sha256');
  const generation = (await fileExists(dir, GENERATION_CONFIG)) ? [GENERATION_CONFIG] : [];
  const trained = [...expertFilesIn(manifest), ...routerFiles(manifest), ...probeFiles(manifest)];
  const additions = [...trained, ...scoreFilesIn(manifest)];
  for (const file of [...Object.values(BUNDLE_FILES), ...additions, ...generation]) {
    if (file === BUNDLE_FILES.weights && manifest.remote !== undefined) continue;
    if (file === BUNDLE_FILES.weights && manifest.base !== undefined) {
      await readSharedBase(manifest.base, onWeights);
      continue;
    }
    const { size } = await stat(join(dir, file));
    hash.update(`${file}\0${size}\0`);
    for await (const chunk of fileChunks(join(dir, file))) {
      hash.update(chunk);
      if (file === BUNDLE_FILES.weights) onWeights(chunk);
    }
  }
  return hash.digest('hex');
}
