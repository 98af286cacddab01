/**
 * Makes a bundle from a checkpoint that somebody has: a folder of Hugging Face, or a GGUF file.
 *
 * What can be refused is refused first: the texts, the experts, and names and shapes of all
 * tensors. Then the weights are copied, one tensor at a time, so that memory is bounded by the
 * largest, and each is checked for numbers that are not finite. The finished folder is checked
 * without them, and only then renamed to its name. An import that ends among the weights leaves
 * `<out>.partial`, and the same import goes on from there.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { moveToStore } from '#gpu-backend/model/blob-store.ts';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { cacheFolder } from '#gpu-backend/model/cache-folder.ts';
import { diskFull } from '#gpu-backend/model/disk-full.ts';
import { assertBaseOf, type ExpertsFolder, openExpertsFolder } from '#gpu-backend/model/experts-folder.ts';
import { isFloatType } from '#gpu-backend/model/finite-check.ts';
import { loadAdditions, loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { type Arithmetic, BUNDLE_FORMAT, type ExpertRole, type Manifest } from '#gpu-backend/model/manifest.ts';
import { BLOCK } from '#gpu-backend/model/quantise.ts';
import { verifyBundle } from '#gpu-backend/model/verify-bundle.ts';
import { DraftFolder } from './draft-folder.ts';
import { checkExpert, copyExpert, type ExpertSource, expertEntry } from './expert-source.ts';
import { copyProbeOf, expertsOfFolder, withExpertsFolder } from './experts-folder-source.ts';
import { spdxOf } from './licence.ts';
import {
  holdsExperts,
  isRouterFile,
  MIDPO_ROUTER,
  ownExperts,
  withoutExperts,
  writeOwnExperts,
  writeRouterFile,
} from './midpo-source.ts';
import type { ModelSource } from './model-source.ts';
import { openModelSource } from './open-model-source.ts';
import { copyRouters, copyRoutersOf } from './router-source.ts';
import { type SourceFile, SourceFiles } from './source-files.ts';
import { checkLayerCount, checkTiedHead, planWeights, type Weights } from './weight-plan.ts';
import { writeManifest, writeTexts } from './write-texts.ts';
import { writeWeights } from './write-weights.ts';

export type ImportProgress = {
  /** Reading the source for its checksum, writing weights, or reading the finished bundle. */
  stage: 'hash' | 'write' | 'check';
  /** Bytes; 0 of 1 while the finished bundle is read. */
  done: number;
  total: number;
};

export type ImportOptions = {
  /** A folder in Hugging Face's layout, or a GGUF file. */
  source: string;
  /** The bundle's folder. It must not exist, unless `force` is set. */
  out: string;
  /** The model id that clients use. */
  id: string;
  /** Without them, the source must hold experts and a router of its own, as MidPO's code saves. */
  experts?: Record<ExpertRole, ExpertSource> | undefined;
  /**
   * A folder of experts and routers (experts-folder.ts), instead of `experts` and `routers`. The
   * model must be the one that they were trained on.
   */
  expertsFolder?: string | undefined;
  /** A bundle with learned routers, a folder with their files, or router.pth as safetensors. */
  routers?: string | undefined;
  /** By default as in the source, and f32 if that is quantised. */
  weights?: Weights | undefined;
  /** How products with quantised weights are computed. */
  arithmetic?: Arithmetic | undefined;
  /** Puts the weights into the cache, where bundles share them (shared-base.ts). */
  shareBase?: boolean | undefined;
  /** Jinja, instead of the source's own template. */
  chatTemplate?: string | undefined;
  /** SPDX, of the model alone. By default what the source says. */
  licence?: string | undefined;
  /** Replaces what the import writes about where the weights are from. */
  provenance?: Pick<Manifest['provenance'], 'description' | 'data'> | undefined;
  force?: boolean;
  onProgress?: (progress: ImportProgress) => void;
  /** Stops the import and throws its reason. What has been written stays for the next import. */
  signal?: AbortSignal | undefined;
};

/** Returns the new bundle's digest. Throws a BundleError if a file is not as it should be. */
export async function importModel(options: ImportOptions): Promise<{ digest: string; bytes: number }> {
  const { source, out, weights, routers, chatTemplate, force = false, onProgress = () => {}, signal } = options;
  const together = options.expertsFolder === undefined ? null : await openExpertsFolder(options.expertsFolder);
  const opened = await openModelSource(source, { chatTemplate });
  const own = holdsExperts(opened.tensors);
  const model = own ? { ...opened, tensors: withoutExperts(opened.tensors) } : opened;
  try {
    const files = await SourceFiles.watch(model.files);
    const experts = await expertsOf(options, { own, together });
    const draft = await DraftFolder.open(out, { force });
    try {
      const folder = draft.path;
      const routerFile = routers !== undefined && isRouterFile(routers) ? routers : undefined;
      const read = own || routerFile !== undefined;
      const router = read ? MIDPO_ROUTER : await copiedRouters(folder, { routers, together });
      if (!own) for (const [role, expert] of roles(experts)) await copyExpert(role, expert, folder);
      if (together !== null) await copyProbeOf(together, folder);
      await writeTexts(folder, model);
      await writeManifest(folder, manifestOf(model, options, { experts, router, together, files: [] }));
      const head = await loadBundleHead(folder);
      checkLayerCount(model.tensors, head.config);
      if (own) await writeOwnExperts(folder, opened.tensors, head.config);
      else for (const [role, expert] of roles(experts)) await checkExpert(role, expert, { folder, head });
      if (routerFile !== undefined) await writeRouterFile(folder, routerFile, head.config);
      await loadAdditions(folder, head);
      const plan = planWeights(model.tensors, head.config, weights);
      await checkTiedHead(model.tensors, head.config);

      const hashed = await files.hash({ onBytes: (done, total) => onProgress({ stage: 'hash', done, total }), signal });
      const manifest = manifestOf(model, options, { experts, router, together, files: hashed });
      await writeManifest(folder, manifest);
      await writeWeights(folder, plan, {
        source: JSON.stringify([hashed, files.stamps]),
        onBytes: (done, total) => onProgress({ stage: 'write', done, total }),
        signal,
      });
      await files.assertUnchanged();
      onProgress({ stage: 'check', done: 0, total: 1 });
      const weightsFile = join(folder, BUNDLE_FILES.weights);
      const { size } = await stat(weightsFile);
      if (options.shareBase) {
        manifest.base = await moveToStore(cacheFolder(process.env), weightsFile, { signal });
        await writeManifest(folder, manifest);
      }
      const hash = createHash('sha256');
      const digest = await verifyBundle(folder, { ...head, manifest }, { onWeights: (bytes) => hash.update(bytes) });
      if (together !== null) {
        assertBaseOf(together, { sha256: hash.digest('hex'), files: hashed, otherType: weights !== undefined });
      }
      await draft.finish();
      return { digest, bytes: size };
    } catch (error) {
      draft.leave({ keep: signal?.aborted === true });
      throw (await diskFull(error, { file: out, path: draft.path, bytes: 0 })) ?? error;
    }
  } finally {
    await model.tensors.close();
  }
}

async function expertsOf(
  { source, experts, routers }: ImportOptions,
  { own, together }: { own: boolean; together: ExpertsFolder | null },
): Promise<Record<ExpertRole, ExpertSource>> {
  if (together !== null && (experts !== undefined || routers !== undefined)) {
    throw new BundleError(together.dir, 'found experts and routers, wanted no others to be named beside them');
  }
  if (!own) {
    if (together !== null) return expertsOfFolder(together);
    if (experts !== undefined) return experts;
    throw new BundleError(source, 'found a model without experts of its own, wanted them to be named');
  }
  if (experts === undefined && routers === undefined && together === null) return ownExperts(source);
  throw new BundleError(source, 'found two experts and a router in the model itself, wanted no others to be named');
}

async function copiedRouters(
  folder: string,
  { routers, together }: { routers: string | undefined; together: ExpertsFolder | null },
): Promise<Manifest['router']> {
  if (together !== null) return copyRoutersOf(together, folder);
  return routers === undefined ? null : copyRouters(routers, folder);
}

const roles = (experts: Record<ExpertRole, ExpertSource>) =>
  (['safety', 'helpfulness'] as const).map((role) => [role, experts[role]] as const);

function manifestOf(
  model: ModelSource,
  { source, id, weights, arithmetic, licence, provenance }: ImportOptions,
  {
    experts,
    router,
    together,
    files,
  }: Pick<Manifest, 'router'> & {
    experts: Record<ExpertRole, ExpertSource>;
    together: ExpertsFolder | null;
    files: SourceFile[];
  },
): Manifest {
  const quantised = weights === 'int8' || weights === 'int4';
  const types = [...new Set(model.tensors.names().map((name) => model.tensors.info(name).dtype))].sort();
  const written = weights !== undefined ? `as ${weights}` : types.every(isFloatType) ? 'as they were' : 'as f32';
  const data = [{ name: basename(source), licence: spdxOf(model.licence), source: 'plimsoll model import' }];
  const manifest: Manifest = {
    format: BUNDLE_FORMAT,
    id,
    experts: roles(experts).map(([role, expert]) => expertEntry(role, expert)),
    router,
    default_weight: 0.5,
    licence: licence ?? spdxOf(model.licence),
    provenance: {
      description:
        `Imported from ${basename(source)} (${model.format}, ${types.join(', ')}), ` + `weights written ${written}.`,
      data,
      ...provenance,
      ...(files.length > 0 && { files }),
    },
    ...(quantised && { weights: { type: weights, block: BLOCK, arithmetic: arithmetic ?? 'exact' } }),
  };
  return together === null ? manifest : withExpertsFolder(manifest, together);
}
