/**
 * A checkpoint in several safetensors files, with an index as Transformers writes it:
 * `{"metadata": {...}, "weight_map": {"<tensor>": "<file>"}}`. The index and the files must agree
 * tensor by tensor. Opening opens all files, so a missing one shows at once.
 */
import { basename, dirname, join } from 'node:path';
import type { BufferPool } from './buffer-pool.ts';
import { CheckpointError } from './checkpoint-error.ts';
import { openSafetensors } from './open-safetensors.ts';
import { parseJsonObject } from './parse-json-object.ts';
import { RandomAccessFile } from './random-access-file.ts';
import { noSuchTensor, type TensorInfo, type TensorSource } from './tensor-source.ts';

/** The index of the largest models has a few megabytes. */
const MAX_INDEX_BYTES = 2 ** 25;

/**
 * Opens the index at `path`, and the files that it names in the same folder. Errors name the index
 * as `file`, by default its path, and a shard by its name in the index.
 */
export async function openShardedSafetensors(path: string, file: string = path): Promise<TensorSource> {
  const weightMap = parseWeightMap(await readIndex(path, file), file);
  const shards = new Map<string, TensorSource>();
  const close = async () => {
    await Promise.all([...shards.values()].map((shard) => shard.close()));
  };
  try {
    for (const shard of new Set(weightMap.values())) {
      shards.set(shard, await openSafetensors(join(dirname(path), shard), shard));
    }
    checkPlaces(weightMap, shards, file);
  } catch (error) {
    await close();
    throw error;
  }
  const sources = new Map([...weightMap].map(([name, shard]) => [name, shards.get(shard)!]));
  return new ShardedSafetensors(file, sources, close);
}

class ShardedSafetensors implements TensorSource {
  readonly file: string;
  readonly close: () => Promise<void>;
  /** The shard of each tensor. */
  readonly #sources: ReadonlyMap<string, TensorSource>;

  constructor(file: string, sources: ReadonlyMap<string, TensorSource>, close: () => Promise<void>) {
    this.file = file;
    this.#sources = sources;
    this.close = close;
  }

  names(): string[] {
    return [...this.#sources.keys()];
  }

  info(name: string): TensorInfo {
    return this.#source(name).info(name);
  }

  async read(name: string, pool?: BufferPool): Promise<Float32Array<ArrayBuffer>> {
    return this.#source(name).read(name, pool);
  }

  async readBytes(name: string, pool?: BufferPool): Promise<Uint8Array<ArrayBuffer>> {
    return this.#source(name).readBytes(name, pool);
  }

  #source(name: string): TensorSource {
    const source = this.#sources.get(name);
    if (!source) throw noSuchTensor(this, name);
    return source;
  }
}

async function readIndex(path: string, file: string): Promise<Uint8Array> {
  const index = await RandomAccessFile.open(path, file);
  try {
    if (index.size > MAX_INDEX_BYTES) {
      throw new CheckpointError(file, { found: `${index.size} bytes`, wanted: `at most ${MAX_INDEX_BYTES}` });
    }
    return await index.read(0, index.size, 'index');
  } finally {
    await index.close();
  }
}

function parseWeightMap(json: Uint8Array, file: string): Map<string, string> {
  const weightMap = new Map(parseJsonObject(json, file, 'index')).get('weight_map');
  if (typeof weightMap !== 'object' || weightMap === null || Array.isArray(weightMap)) {
    const wanted = 'an object from tensor names to file names';
    throw new CheckpointError(file, { key: 'weight_map', found: JSON.stringify(weightMap) ?? 'nothing', wanted });
  }
  const shards = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap)) {
    // A path could lead out of the folder.
    if (
      typeof shard !== 'string' ||
      !shard.endsWith('.safetensors') ||
      basename(shard) !== shard ||
      /[\\\0]/.test(shard)
    ) {
      const fault = {
        key: `weight_map: ${name}`,
        found: JSON.stringify(shard),
        wanted: 'a .safetensors file beside the index',
      };
      throw new CheckpointError(file, fault);
    }
    shards.set(name, shard);
  }
  return shards;
}

/** Every tensor is in the shard that the map says, in no other shard, and none is left over. */
function checkPlaces(
  weightMap: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, TensorSource>,
  file: string,
): void {
  const foundIn = new Map<string, string>();
  for (const [shard, source] of shards) {
    for (const name of source.names()) {
      const key = `tensor ${name}`;
      const before = foundIn.get(name);
      if (before !== undefined) {
        throw new CheckpointError(file, { key, found: `it in ${before} and in ${shard}`, wanted: 'it in one shard' });
      }
      foundIn.set(name, shard);
    }
  }
  for (const [name, shard] of foundIn) {
    const wanted = weightMap.get(name);
    if (wanted === shard) continue;
    const key = `tensor ${name}`;
    throw new CheckpointError(file, {
      key,
      found: `it in ${shard}`,
      wanted: wanted === undefined ? 'it in weight_map too' : `it in ${wanted}, as weight_map says`,
    });
  }
  for (const [name, shard] of weightMap) {
    if (foundIn.has(name)) continue;
    throw new CheckpointError(file, {
      key: `tensor ${name}`,
      found: 'it in no shard',
      wanted: `it in ${shard}, as weight_map says`,
    });
  }
}
