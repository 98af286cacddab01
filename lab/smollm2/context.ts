/** What every step knows: the folders, the settings, and which base this is. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BUNDLE_FILES, readJson } from '#gpu-backend/model/bundle-files.ts';
import { Manifest } from '#gpu-backend/model/manifest.ts';
import { type BaseModel, openBase } from '#training/stages/base-model.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import type { Settings } from './settings.ts';
import { assertOpen } from './sources.ts';

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
  const tokenizer = openTokenizer(await readChatFiles(base));
  const baseDigest = manifest.base?.sha256 ?? (await sha256Of(path.join(base, BUNDLE_FILES.weights)));
  return { ...options, base, tokenizer, baseDigest };
}

export async function loadBase({
  base,
  tokenizer,
}: RecipeContext): Promise<{ base: BaseModel; tokenizer: TrainingTokenizer }> {
  return { base: await openBase(base), tokenizer };
}

/** A path in the recipe's folder. */
export function inside({ out }: Pick<RecipeContext, 'out'>, ...names: string[]): string {
  return path.join(out, ...names);
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
