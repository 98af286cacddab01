/**
 * Writes a bundle as llama.cpp reads it: the base, and the adapter of each expert that has one.
 * Prompts of experts, routers, probes and score heads stay behind: a gate node has the prompts, and
 * nothing else works with an engine that tells only tokens.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeGguf } from '#gpu-backend/gguf/write-gguf.ts';
import { text, uint32, type WrittenMetadata, type WrittenValue } from '#gpu-backend/gguf/written-value.ts';
import { hasAdapter } from '#gpu-backend/model/adapter.ts';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES, readJson, readText } from '#gpu-backend/model/bundle-files.ts';
import { checkShapes } from '#gpu-backend/model/check-tensors.ts';
import { weightShapes } from '#gpu-backend/model/config.ts';
import { type BundleHead, loadBundleHead, loadExpert } from '#gpu-backend/model/load-bundle.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import { findWeights } from '#gpu-backend/model/shared-base.ts';
import { TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import type { WeightType } from '#gpu-backend/model/write-safetensors.ts';
import { adapterGguf } from './adapter-gguf.ts';
import { baseTensors } from './base-tensors.ts';
import { decoderMetadata } from './decoder-metadata.ts';
import { tokenizerMetadata } from './tokenizer-metadata.ts';

export type GgufExportOptions = {
  /** The bundle's folder. */
  bundle: string;
  /** A folder for the files. It must not exist, or be empty. */
  out: string;
  /** Of the base's matrices. By default what they are. Adapters are always f32. */
  weights?: WeightType | undefined;
  /** Called with the bytes of the base's file that are written so far, and with all of them. */
  onBytes?: (done: number, total: number) => void;
  signal?: AbortSignal;
};

export type GgufExport = {
  /** The path of the base. */
  base: string;
  /** The path of each expert's adapter; null if the expert is the base alone, or under a prompt. */
  adapters: Record<ExpertRole, string | null>;
};

/** `general.file_type`, llama.cpp's `enum llama_ftype`. */
const FILE_TYPES = { F32: 0, F16: 1, BF16: 32 } as const;

/** Throws a BundleError if llama.cpp cannot have this bundle as it is. */
export async function exportGguf({ bundle, out, weights, onBytes, signal }: GgufExportOptions): Promise<GgufExport> {
  const head = await loadBundleHead(bundle);
  refuseOthers(head);
  const tokenizer = await tokenizerOf(bundle, head);
  await newFolder(out);
  const base = join(out, 'base.gguf');
  const source = await openSafetensors(await findWeights(bundle, head.manifest), BUNDLE_FILES.weights);
  try {
    const found = new Map(source.names().map((name) => [name, source.info(name)]));
    checkShapes(found, weightShapes(head.config), { file: BUNDLE_FILES.weights });
    const tensors = baseTensors(source, head.config, weights);
    const matrix = tensors.find(({ shape }) => shape.length === 2)!;
    const metadata = new Map<string, WrittenValue>([
      ...decoderMetadata(head.config),
      ['general.name', text(head.id)],
      ['general.license', text(head.manifest.licence)],
      ['general.file_type', uint32(FILE_TYPES[matrix.dtype])],
      ...tokenizer,
    ]);
    await writeGguf(base, { metadata, tensors }, { ...(onBytes && { onBytes }), ...(signal && { signal }) });
  } finally {
    await source.close();
  }
  const adapters: Record<ExpertRole, string | null> = { safety: null, helpfulness: null };
  for (const entry of head.manifest.experts) {
    const expert = await loadExpert(bundle, entry, head);
    if (!hasAdapter(expert)) continue;
    const file = join(out, `${entry.role}.gguf`);
    await writeGguf(file, adapterGguf(expert, head.config));
    adapters[entry.role] = file;
  }
  return { base, adapters };
}

function refuseOthers({ manifest }: Pick<BundleHead, 'manifest'>): void {
  if (manifest.remote !== undefined) {
    throw new BundleError(BUNDLE_FILES.manifest, 'remote: found one, wanted weights: this bundle has none to write');
  }
  if (manifest.weights === undefined) return;
  const problem = `weights: found ${manifest.weights.type}, wanted floats: take the bundle or model it was made from`;
  throw new BundleError(BUNDLE_FILES.manifest, problem);
}

async function tokenizerOf(bundle: string, head: BundleHead): Promise<WrittenMetadata> {
  const json = await readJson(bundle, BUNDLE_FILES.tokenizer, TokenizerJson);
  return tokenizerMetadata(json, { ...head, chatTemplate: await readText(bundle, BUNDLE_FILES.chatTemplate) });
}

async function newFolder(out: string): Promise<void> {
  makeFolder(out);
  if ((await readdir(out)).length === 0) return;
  throw new BundleError(out, 'found a folder that is not empty, wanted a new one; nothing was touched');
}
