/** Stage `export`: writes base, tokenizer, experts and routers to disk as one bundle. */
import { type Expert, NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import { transposeMatrix } from '#gpu-backend/model/kernel-layout.ts';
import { downProj } from '#gpu-backend/model/linear-modules.ts';
import { ExpertRole, type Manifest } from '#gpu-backend/model/manifest.ts';
import type { KernelTensor } from '#gpu-backend/model/serving-graph.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import type { WeightType } from '#gpu-backend/model/write-safetensors.ts';
import { WriteError } from '../run/write-error.ts';
import { openTokenizer, readChatFiles } from '../tokenizer/chat-files.ts';
import { type BaseModel, loadBaseModel, toHuggingFace } from './base-model.ts';
import { loadExpertWeights } from './expert-weights.ts';
import { loadRouters } from './router-weights.ts';

export type ExportOptions = {
  out: string;
  tokenizer: string;
  /** The run of stage `sft`. */
  base: string;
  /** The runs of stage `expert`. With `base`, the base itself takes both roles, for comparison. */
  experts: readonly string[] | 'base';
  /** The runs of stage `router`, at most one of each kind. */
  routers?: readonly string[];
  manifest: Omit<Manifest, 'format' | 'experts' | 'router'>;
  dtype?: WeightType;
};

/** Writes the bundle and returns its digest. */
export async function exportStage(options: ExportOptions): Promise<string> {
  const chatFiles = await readChatFiles(options.tokenizer);
  const base = await loadBaseModel(options.base, openTokenizer(chatFiles));
  const experts =
    options.experts === 'base'
      ? ExpertRole.options.map((role) => ({ name: role, role, ...NO_ADAPTER }))
      : await Promise.all(options.experts.map((dir) => readExpert(dir, base)));
  const parts = {
    config: base.config,
    ...chatFiles,
    weights: toHuggingFace(base.weights),
    experts,
    routers: await loadRouters(options.routers ?? [], base),
    manifest: options.manifest,
  };
  return writeBundle(options.out, parts, { dtype: options.dtype ?? 'f16' }).catch((cause: unknown) => {
    // System errors name no file, or a file in the temporary folder, which is gone by now.
    throw (cause as NodeJS.ErrnoException).syscall === undefined ? cause : new WriteError(options.out, cause);
  });
}

/** Reads the expert from a run of stage `expert`, in PEFT's layout. */
export async function readExpert(dir: string, base: BaseModel): Promise<Expert> {
  const { role, rank, alpha, layers } = await loadExpertWeights(dir, base);
  const turned = ({ shape, data }: KernelTensor) => {
    const [rows, columns] = shape as [number, number];
    return { shape: [columns, rows], data: transposeMatrix(data, rows, columns) };
  };
  // PEFT's layout: a [r, F], b [d, r].
  const scale = alpha / rank;
  const modules = new Map(layers.map(({ a, b }, layer) => [downProj(layer), { a: turned(a), b: turned(b), scale }]));
  return { name: role, role, rank, alpha, modules };
}
