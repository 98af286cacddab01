/**
 * Stage `export`: writes base, tokenizer, experts and routers to disk as one bundle. A base that
 * comes from a bundle keeps its bytes, or stays where it is: then only what was trained is written,
 * as a folder of experts.
 */
import { type Expert, NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import { deriveBundle } from '#gpu-backend/model/derive-bundle.ts';
import { ExpertRole, type Manifest } from '#gpu-backend/model/manifest.ts';
import type { ScoreHeads } from '#gpu-backend/model/score-heads.ts';
import { type BundleParts, writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { copyExpertsFolder, writeExpertsFolder } from '#gpu-backend/model/write-experts-folder.ts';
import type { WeightType } from '#gpu-backend/model/write-safetensors.ts';
import { SCORE_KINDS, type ScoreKind } from '#shared/protocol/score.ts';
import { assertAllowed } from '../data/licences.ts';
import { mergeSources } from '../data/origins.ts';
import { asAdapter } from '../graphs/lora.ts';
import { WriteError } from '../run/write-error.ts';
import { readChatFiles } from '../tokenizer/chat-files.ts';
import { type BaseModel, isBundle, openBase, toHuggingFace } from './base-model.ts';
import { type ExpertWeights, loadExpertWeights } from './expert-weights.ts';
import { loadRouters } from './router-weights.ts';
import { loadScoreHead } from './scorer.ts';
import { readSources, sourcesOfBase } from './sources-file.ts';

export type ExportOptions = {
  out: string;
  /** The folder of the tokenizer. Left out if the base is a bundle, which has its own. */
  tokenizer?: string | undefined;
  /** The run of stage `sft`, or a bundle. */
  base: string;
  /** The runs of stage `expert`. With `base`, the base itself takes both roles, for comparison. */
  experts: readonly string[] | 'base';
  /** The runs of stage `router`, at most one of each kind. */
  routers?: readonly string[];
  /** The probe of the second look, trained on the safety expert's row of this very bundle. */
  probe?: BundleParts['probe'];
  /**
   * Runs of the stages `reward` and `cost`, which judge answers. A folder of experts has no place
   * for them.
   */
  scores?: Readonly<Record<ScoreKind, string>> | undefined;
  /** An empty list of data in its provenance is filled with the sources that the runs name. */
  manifest: Omit<Manifest, 'format' | 'experts' | 'router'>;
  /**
   * Writes a folder of experts (experts-folder.ts). The base must be a bundle. With `experts:
   * 'base'`, what is written is what this bundle adds to its own base, with its own manifest.
   */
  expertsOnly?: boolean;
  dtype?: WeightType;
};

/**
 * Writes the bundle, or the folder of experts, and returns its digest. Throws if a run was trained
 * on another base, if an expert's role is there twice or not at all, if a router was trained
 * between other experts, or if the data of a run or the base does not allow the licence.
 */
export async function exportStage(options: ExportOptions): Promise<string> {
  const { out, dtype = 'f16' } = options;
  if (options.expertsOnly) {
    if (options.scores) throw new Error('--scores: a folder of experts has no place for score heads; export a bundle');
    assertBundle(options.base);
    if (options.experts === 'base') return copyExpertsFolder(options.base, out);
  }
  const base = await openBase(options.base, options.tokenizer);
  const trained = options.experts === 'base' ? null : await loadExperts(options.experts, base);
  const byRole = trained && onePerRole(trained);
  const routers = await loadRouters(options.routers ?? [], base, byRole ?? {});
  const heads = options.scores && (await loadHeads(options.scores, base));
  const judges = options.scores === undefined ? [] : SCORE_KINDS.map((kind) => options.scores![kind]);
  const runs = [...(trained ?? []).map(({ dir }) => dir), ...(options.routers ?? []), ...judges];
  const parts = {
    experts: trained?.map(toExpert) ?? ExpertRole.options.map((role) => ({ name: role, role, ...NO_ADAPTER })),
    routers,
    ...(options.probe && { probe: options.probe }),
    ...(heads && { scores: heads }),
    manifest: await withSources(options.manifest, { base, runs }),
  };
  try {
    if (options.expertsOnly) return await writeExpertsOnly(out, { ...parts, base }, { dtype });
    if (base.manifest !== null) return await deriveBundle(out, { ...parts, from: options.base }, { dtype });
    // openBase has opened this tokenizer, so there is one.
    const chatFiles = await readChatFiles(options.tokenizer!);
    const weights = toHuggingFace(await base.weights());
    return await writeBundle(out, { ...parts, ...chatFiles, config: base.config, weights }, { dtype });
  } catch (cause) {
    // System errors name no file, or a file in the temporary folder, which is gone by now.
    throw (cause as NodeJS.ErrnoException).syscall === undefined ? cause : new WriteError(out, cause);
  }
}

async function withSources(
  manifest: ExportOptions['manifest'],
  { base, runs }: { base: BaseModel; runs: readonly string[] },
): Promise<ExportOptions['manifest']> {
  const found = await Promise.all(runs.map(async (dir) => ({ dir, sources: await readSources(dir) })));
  const silent = found.filter(({ sources }) => sources === null).map(({ dir }) => dir);
  if (silent.length > 0) {
    process.stderr.write(
      `export: ${silent.join(', ')}: runs of an earlier version do not say what they were trained on, so the licence is not checked against it\n`,
    );
  }
  const data = mergeSources(await sourcesOfBase(base), ...found.map(({ sources }) => sources ?? []));
  assertAllowed(manifest.licence, data);
  const { provenance } = manifest;
  return { ...manifest, provenance: { ...provenance, data: provenance.data.length > 0 ? provenance.data : data } };
}

function assertBundle(base: string): void {
  if (isBundle(base)) return;
  throw new Error(`--experts-only: ${base} is no bundle, wanted one that others can import or pull`);
}

function writeExpertsOnly(
  out: string,
  {
    manifest,
    base,
    ...additions
  }: Pick<BundleParts, 'experts' | 'routers' | 'probe' | 'manifest'> & { base: BaseModel },
  options: { dtype: WeightType },
): Promise<string> {
  const { default_weight, sampling, licence, provenance } = manifest;
  const { description, data } = provenance;
  const said = {
    base: { sha256: base.digest, files: base.manifest?.provenance.files ?? [] },
    default_weight,
    ...(sampling && { sampling }),
    licence,
    provenance: { description, data },
  };
  return writeExpertsFolder(out, { ...additions, config: base.config, manifest: said }, options);
}

async function loadHeads(runs: Readonly<Record<ScoreKind, string>>, base: BaseModel): Promise<ScoreHeads> {
  return {
    reward: await loadScoreHead(runs.reward, { base, wanted: 'reward' }),
    cost: await loadScoreHead(runs.cost, { base, wanted: 'cost' }),
  };
}

async function loadExperts(dirs: readonly string[], base: BaseModel): Promise<ExpertWeights[]> {
  const experts: ExpertWeights[] = [];
  for (const dir of dirs) experts.push(await loadExpertWeights(dir, base));
  return experts;
}

function onePerRole(experts: readonly ExpertWeights[]): Record<ExpertRole, ExpertWeights> {
  const one = (role: ExpertRole) => {
    const found = experts.filter((expert) => expert.role === role);
    if (found.length === 1) return found[0]!;
    const where = found.length === 0 ? 'none' : found.map(({ dir }) => dir).join(' and ');
    throw new Error(`--experts: found ${where} for the role ${role}, wanted one run of each role`);
  };
  return { safety: one('safety'), helpfulness: one('helpfulness') };
}

/** Reads the expert from a run of stage `expert`, in PEFT's layout. */
export async function readExpert(dir: string, base: BaseModel): Promise<Expert> {
  return toExpert(await loadExpertWeights(dir, base));
}

function toExpert({ role, rank, alpha, modules: trained }: ExpertWeights): Expert {
  return { name: role, role, rank, alpha, modules: asAdapter(trained, { rank, alpha }) };
}
