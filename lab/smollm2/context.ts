/** What every step knows: the folders, the settings, and which base this is. */
import path from 'node:path';
import { BUNDLE_FILES, readJson } from '#gpu-backend/model/bundle-files.ts';
import { Manifest } from '#gpu-backend/model/manifest.ts';
import { type BaseModel, openBase } from '#training/stages/base-model.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import type { Settings } from './settings.ts';
import { assertOpen } from './sources.ts';

/** The id of the bundle that is made. */
export const MODEL_ID = 'smollm2-135m-instruct';

export type RecipeFolders = {
  /** The base's bundle. */
  base: string;
  /** The public data. */
  data: string;
  out: string;
};

export type RecipeContext = RecipeFolders & {
  threads: number;
  settings: Settings;
  /** The opened base. Its weights stay in their file. */
  model: BaseModel;
  tokenizer: TrainingTokenizer;
  /** SHA-256 of the base's weights, in lower-case hex. */
  baseDigest: string;
};

/** Throws if the base's licence does not let its experts be given away under Apache-2.0. */
export async function openContext({
  base,
  ...options
}: RecipeFolders & { threads: number; settings: Settings }): Promise<RecipeContext> {
  const manifest = await readJson(base, BUNDLE_FILES.manifest, Manifest);
  assertOpen(`${path.join(base, BUNDLE_FILES.manifest)}: licence`, manifest.licence);
  const model = await openBase(base);
  return { ...options, base, model, tokenizer: model.tokenizer, baseDigest: model.digest };
}

/** A path in the recipe's folder. */
export function inside({ out }: Pick<RecipeContext, 'out'>, ...names: string[]): string {
  return path.join(out, ...names);
}
