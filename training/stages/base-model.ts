/**
 * The trained base for the other stages: its config, its weights in kernel layout, its tokenizer.
 * It comes from a run of stage `sft`, or from a bundle: one that we exported, imported or pulled.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { sizeOf } from '#gpu-backend/graph/shapes.ts';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { checkTensors } from '#gpu-backend/model/check-tensors.ts';
import { DecoderConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { fileChunks } from '#gpu-backend/model/file-chunks.ts';
import { isLinear, transposeLinear } from '#gpu-backend/model/kernel-layout.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import type { Manifest } from '#gpu-backend/model/manifest.ts';
import { readWeights } from '#gpu-backend/model/read-weights.ts';
import { blamingDamage, findWeights, readSharedBase } from '#gpu-backend/model/shared-base.ts';
import { openStoredBase } from '#gpu-backend/model/stored-base.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import type { FrozenBase } from '../graphs/frozen-weights.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadTrained } from '../run/checkpoint.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { assertTokenizer } from './assert-same-model.ts';
import { assertTokensFit } from './assert-tokens-fit.ts';
import { readStageFile } from './stage-file.ts';

export type BaseModel = {
  /** Its folder, for errors. */
  dir: string;
  config: DecoderConfig;
  /** The weights as graphs take them: a bundle's stay in its file, and sessions map them. */
  frozen: FrozenBase;
  /** The weights in memory, in kernel layout and f32. A bundle's are read anew by each call. */
  weights: () => Promise<Parameters>;
  /**
   * SHA-256, in lower-case hex, of a bundle's `model.safetensors` or of a run's tensors. Every run
   * keeps the digest of its base.
   */
  digest: string;
  tokenizer: TrainingTokenizer;
  /** How many steps the run made. Null for a bundle, which does not say. */
  steps: number | null;
  /** Null for a run of stage `sft`. */
  manifest: Manifest | null;
};

/** The weights' shapes in the graphs, where linear weights are `[in, out]`. */
export function kernelShapes(config: DecoderConfig): Map<string, number[]> {
  return new Map(
    [...weightShapes(config)].map(([name, shape]) => [name, isLinear(name, shape) ? shape.toReversed() : shape]),
  );
}

/** How many weights a model of this config has. */
export function weightCount(config: DecoderConfig): number {
  return [...weightShapes(config).values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
}

export function emptyTensors(shapes: ReadonlyMap<string, readonly number[]>): Parameters {
  return new Map(
    [...shapes].map(([name, shape]) => [name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]),
  );
}

/**
 * Opens what `--base` names. A bundle has its own tokenizer: `tokenizerDir` is not needed, and must
 * be the same one if it is given. A run of stage `sft` needs it.
 */
export async function openBase(dir: string, tokenizerDir?: string): Promise<BaseModel> {
  const given = tokenizerDir === undefined ? null : openTokenizer(await readChatFiles(tokenizerDir));
  if (isBundle(dir)) {
    const base = await baseOfBundle(dir);
    if (given !== null && given.digest !== base.tokenizer.digest) {
      throw new Error(
        `${tokenizerDir} is another tokenizer (SHA-256 ${given.digest}) than the one in the bundle ${dir} (${base.tokenizer.digest}): leave --tokenizer out`,
      );
    }
    return base;
  }
  assertRun(dir);
  if (given === null) {
    throw new Error(`${dir} is a run, not a bundle: --tokenizer must name the folder of its tokenizer`);
  }
  return loadBaseModel(dir, given);
}

export function isBundle(dir: string): boolean {
  return existsSync(path.join(dir, BUNDLE_FILES.manifest));
}

function assertRun(dir: string): void {
  const wanted = 'wanted a run of the stage sft or a bundle';
  if (!existsSync(dir)) throw new Error(`${dir}: found no such folder, ${wanted}`);
  if (existsSync(path.join(dir, BUNDLE_FILES.config)) && existsSync(path.join(dir, BUNDLE_FILES.weights))) {
    throw new Error(
      `${dir}: found a model in Hugging Face's layout, ${wanted}: plimsoll model import makes a bundle of it`,
    );
  }
}

/**
 * Loads a run of stage `sft`. The model will be used with `tokenizer`, which must also be the one
 * that it was trained with.
 */
export async function loadBaseModel(dir: string, tokenizer: TrainingTokenizer): Promise<BaseModel> {
  const config = await readStageFile(dir, BUNDLE_FILES.config, { schema: DecoderConfig, stage: 'sft' });
  const weights = emptyTensors(kernelShapes(config));
  const state = await loadTrained(dir, { parameters: weights, stage: 'sft' });
  assertTokenizer(dir, state, tokenizer);
  assertTokensFit(config, tokenizer, { name: path.join(dir, BUNDLE_FILES.config) });
  return {
    dir,
    config,
    frozen: weights,
    weights: async () => weights,
    digest: state.digest,
    tokenizer,
    steps: state.step,
    manifest: null,
  };
}

/**
 * Opens the base of a bundle, and loads the bundle's tokenizer. The bundle's
 * own experts and routers play no part.
 */
async function baseOfBundle(dir: string): Promise<BaseModel> {
  try {
    const { config, manifest } = await loadBundleHead(dir);
    const tokenizer = openTokenizer(await readChatFiles(dir));
    assertTokensFit(config, tokenizer, { name: path.join(dir, BUNDLE_FILES.config) });
    const weights = () => kernelWeights(dir, { config, manifest });
    const [frozen, digest] = await blamingDamage(manifest, async () => [
      // The graphs that train have no products of quantised weights, so these are read as floats.
      manifest.weights === undefined ? await storedWeights(dir, { config, manifest }) : await weights(),
      await weightsDigest(dir, manifest),
    ]);
    return { dir, config, frozen, weights, digest, tokenizer, steps: null, manifest };
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw new Error(`the bundle in ${dir}: ${error.message}`, { cause: error });
  }
}

async function storedWeights(dir: string, head: { config: DecoderConfig; manifest: Manifest }): Promise<FrozenBase> {
  return openStoredBase(await findWeights(dir, head.manifest), { file: BUNDLE_FILES.weights, ...head });
}

async function kernelWeights(dir: string, head: { config: DecoderConfig; manifest: Manifest }): Promise<Parameters> {
  const stored = await readWeights(dir, head);
  checkTensors(stored, weightShapes(head.config), BUNDLE_FILES.weights);
  const weights = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, tensor] of stored) {
    weights.set(name, transposeLinear(name, tensor));
    // One by one, so that the base is never in memory twice.
    stored.delete(name);
  }
  return weights;
}

async function weightsDigest(dir: string, manifest: Manifest): Promise<string> {
  if (manifest.base !== undefined) {
    await readSharedBase(manifest.base);
    return manifest.base.sha256;
  }
  const hash = createHash('sha256');
  for await (const chunk of fileChunks(await findWeights(dir, manifest))) hash.update(chunk);
  return hash.digest('hex');
}

/** Converts the weights to Hugging Face's layout, where linear weights are `[out, in]`. */
export function toHuggingFace(weights: Parameters): Map<string, Tensor> {
  return new Map(
    [...weights].map(([name, tensor]) => {
      const { shape, data } = transposeLinear(name, tensor);
      return [name, { shape: [...shape], data }];
    }),
  );
}
