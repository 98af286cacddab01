/**
 * Weights that bundles share. If `plimsoll.json` has `base`, the bundle's `model.safetensors` is
 * not in its folder but in the cache's store of files (blob-store.ts), named by its SHA-256. Two
 * bundles with other experts over one model then take the room of one on the disk, and what the
 * system maps of the file is in memory once.
 *
 * `PLIMSOLL_CACHE` says where the cache is, for every command and thread of a process alike.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { blobFile } from './blob-store.ts';
import { BundleError } from './bundle-error.ts';
import { cacheFolder } from './cache-folder.ts';
import { fileChunks } from './file-chunks.ts';
import type { Manifest } from './manifest.ts';

type Base = NonNullable<Manifest['base']>;

const WEIGHTS = 'model.safetensors';
const MAKE_IT =
  'import the model again, as before and with --share-base: npx plimsoll model import SOURCE --share-base ...';

const sharedFile = ({ sha256 }: Base) => blobFile(cacheFolder(process.env), sha256);

/**
 * The file with a bundle's weights. Throws a BundleError if a shared one is missing or has another
 * size; its bytes are not read.
 */
export async function findWeights(dir: string, { base }: Pick<Manifest, 'base'>): Promise<string> {
  if (base === undefined) return join(dir, WEIGHTS);
  const file = sharedFile(base);
  const found = await stat(file).catch(() => null);
  if (found === null) {
    const wanted = `wanted the base with the SHA-256 ${base.sha256} that plimsoll.json names`;
    const problem = `found no file ${file}, ${wanted}; let PLIMSOLL_CACHE name the folder that has it, or ${MAKE_IT}`;
    throw new BundleError(WEIGHTS, problem);
  }
  if (found.size !== base.bytes) {
    throw damaged(file, `found ${found.size} bytes, wanted ${base.bytes} with the SHA-256 ${base.sha256}`);
  }
  return file;
}

/**
 * Reads a shared base once. Throws a BundleError if it is not the one that the manifest names.
 *
 * @param onBytes gets its bytes as they are read
 */
export async function readSharedBase(base: Base, onBytes: (bytes: Uint8Array) => void = () => {}): Promise<void> {
  const file = await findWeights('', { base });
  const hash = createHash('sha256');
  for await (const chunk of fileChunks(file)) {
    hash.update(chunk);
    onBytes(chunk);
  }
  const found = hash.digest('hex');
  if (found !== base.sha256) throw damaged(file, `found SHA-256 ${found}, wanted ${base.sha256}`);
}

/**
 * Does something with a bundle's weights. If that fails and a shared base is damaged, throws that
 * the file is damaged, instead of what was wrong inside it.
 */
export async function blamingDamage<T>({ base }: Pick<Manifest, 'base'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (base !== undefined) await readSharedBase(base);
    throw error;
  }
}

const damaged = (file: string, problem: string) =>
  new BundleError(WEIGHTS, `${file} is damaged: ${problem}; delete it, then ${MAKE_IT}`);
