/**
 * Reads llama.cpp's GGUF. Opening a file reads and checks its header. Weights become f32 when a
 * tensor is read. Tensors keep llama.cpp's names and row order; `as-hugging-face.ts` changes both.
 */
import type { BufferPool } from '#gpu-backend/model/buffer-pool.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { RandomAccessFile } from '#gpu-backend/model/random-access-file.ts';
import { noSuchTensor, type TensorInfo, type TensorSource } from '#gpu-backend/model/tensor-source.ts';
import type { MetadataValue } from './metadata-value.ts';
import { type GgufHeader, readHeader, type TensorEntry } from './read-header.ts';

export interface GgufSource extends TensorSource {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
}

/** Opens one file. Errors name it as `file`, by default its path. */
export async function openGguf(path: string, file: string = path): Promise<GgufSource> {
  const opened = await RandomAccessFile.open(path, file);
  try {
    const header = await readHeader(opened);
    const parts = header.metadata.get('split.count') ?? 1;
    if (parts !== 1) {
      const fault = { key: 'split.count', found: `a file in ${String(parts).slice(0, 40)} parts`, wanted: 'one whole' };
      throw new CheckpointError(file, fault);
    }
    return new GgufFile(opened, header);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

class GgufFile implements GgufSource {
  readonly file: string;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly #opened: RandomAccessFile;
  readonly #tensors: ReadonlyMap<string, TensorEntry>;

  constructor(opened: RandomAccessFile, { metadata, tensors }: GgufHeader) {
    this.file = opened.file;
    this.metadata = metadata;
    this.#opened = opened;
    this.#tensors = tensors;
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  info(name: string): TensorInfo {
    const { type, shape, bytes } = this.#entry(name);
    return { dtype: type.name, shape: [...shape], bytes };
  }

  async read(name: string, pool?: BufferPool): Promise<Float32Array<ArrayBuffer>> {
    const { type, bytes } = this.#entry(name);
    const stored = await this.readBytes(name, pool);
    const blocks = bytes / type.blockBytes;
    const data = type.decode(stored, blocks, pool && (() => new Float32Array(pool.take(4 * blocks * type.blockSize))));
    if (data.buffer !== stored.buffer) pool?.give(stored.buffer);
    return data;
  }

  async readBytes(name: string, pool?: BufferPool): Promise<Uint8Array<ArrayBuffer>> {
    const { begin, bytes } = this.#entry(name);
    return this.#opened.read(begin, bytes, `tensor ${name}`, pool);
  }

  close(): Promise<void> {
    return this.#opened.close();
  }

  #entry(name: string): TensorEntry {
    const entry = this.#tensors.get(name);
    if (!entry) throw noSuchTensor(this, name);
    return entry;
  }
}
