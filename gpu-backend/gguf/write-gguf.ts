/**
 * Writes a GGUF file of version 3, one tensor at a time: magic, version, counts, metadata, one
 * entry for each tensor, then their bytes, each padded to the alignment
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). read-header.ts is its counterpart.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { assertRoom, diskFull } from '#gpu-backend/model/disk-full.ts';
import { elementCount } from '#gpu-backend/model/tensor.ts';
import { textBytes, uint32Bytes, uint64Bytes, valueBytes, type WrittenMetadata } from './written-value.ts';

/** The types that we write: their numbers in the file (tensor-types.ts), and their bytes. */
const TYPES = { F32: { number: 0, bytes: 4 }, F16: { number: 1, bytes: 2 }, BF16: { number: 30, bytes: 2 } } as const;
export type WrittenType = keyof typeof TYPES;

export type WrittenTensor = {
  name: string;
  dtype: WrittenType;
  /** Row-major: a linear weight is [out, in]. The file lists sizes the other way round. */
  shape: readonly number[];
  /** The tensor's bytes, asked for when it is its turn. */
  bytes: () => Promise<Uint8Array>;
};

/** The format's own default, so that `general.alignment` need not say it. */
const ALIGNMENT = 32;
const MAX_WRITE_BYTES = 2 ** 30;

/**
 * Writes `path`. It appears there whole, or not at all.
 *
 * @param onBytes called with the bytes that are written so far, and those of the whole file
 * @param signal stops it; then it throws the signal's reason
 */
export async function writeGguf(
  path: string,
  { metadata, tensors }: { metadata: WrittenMetadata; tensors: readonly WrittenTensor[] },
  { onBytes = () => {}, signal }: { onBytes?: (done: number, total: number) => void; signal?: AbortSignal } = {},
): Promise<void> {
  const head = headBytes(metadata, tensors);
  const total = tensors.reduce((sum, tensor) => sum + padded(sizeOf(tensor)), head.length);
  await assertRoom({ file: path, path: dirname(path), bytes: total });
  const draft = `${path}.partial`;
  try {
    const file = await open(draft, 'w');
    let done = 0;
    try {
      const write = async (bytes: Uint8Array) => {
        await writeAll(file, bytes);
        done += bytes.length;
        onBytes(done, total);
      };
      await write(head);
      for (const tensor of tensors) {
        signal?.throwIfAborted();
        const bytes = await tensor.bytes();
        const size = sizeOf(tensor);
        if (bytes.length !== size) throw new RangeError(`${tensor.name}: ${bytes.length} bytes in place of ${size}`);
        await write(bytes);
        await write(new Uint8Array(padded(size) - size));
      }
      await file.sync();
    } catch (cause) {
      throw (await diskFull(cause, { file: path, path: dirname(path), bytes: total - done })) ?? cause;
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

function headBytes(metadata: WrittenMetadata, tensors: readonly WrittenTensor[]): Uint8Array {
  const parts = [Buffer.from('GGUF'), uint32Bytes(3), uint64Bytes(tensors.length), uint64Bytes(metadata.size)];
  for (const [key, value] of metadata) parts.push(textBytes(key), valueBytes(value));
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    parts.push(textBytes(name), uint32Bytes(shape.length), ...shape.toReversed().map(uint64Bytes));
    parts.push(uint32Bytes(TYPES[dtype].number), uint64Bytes(offset));
    offset += padded(sizeOf(tensor));
  }
  const head = Buffer.concat(parts);
  return Buffer.concat([head, new Uint8Array(padded(head.length) - head.length)]);
}

/** Node writes at most 2 GiB at once, and may write less than it is told. */
async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.length - done, MAX_WRITE_BYTES));
    done += bytesWritten;
  }
}

const sizeOf = ({ dtype, shape }: WrittenTensor) => elementCount(shape) * TYPES[dtype].bytes;
const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
