/**
 * A file that is read at any position. Nothing is allocated for bytes that the file does not have,
 * and every fault is a `CheckpointError`.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { BufferPool } from './buffer-pool.ts';
import { CheckpointError } from './checkpoint-error.ts';
import { foundInstead } from './found-instead.ts';

/** Node refuses to read more than 2 GiB at once. */
const MAX_READ_BYTES = 2 ** 30;

export class RandomAccessFile {
  /** The name of the file in errors. */
  readonly file: string;
  /** In bytes, when the file was opened. */
  readonly size: number;
  readonly #handle: FileHandle;
  #closed: Promise<void> | undefined;

  private constructor(handle: FileHandle, file: string, size: number) {
    this.#handle = handle;
    this.file = file;
    this.size = size;
  }

  static async open(path: string, file: string): Promise<RandomAccessFile> {
    // Without O_NONBLOCK, opening a named pipe waits for somebody to write to it. Windows has none.
    const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((cause: unknown) => {
      throw unreadable(file, foundInstead(cause), cause);
    });
    const stat = await handle.stat();
    if (!stat.isFile()) {
      await handle.close();
      throw unreadable(file, stat.isDirectory() ? 'a folder' : 'no regular file');
    }
    return new RandomAccessFile(handle, file, stat.size);
  }

  /** Reads exactly `length` bytes. `key` says in errors what they are. */
  async read(position: number, length: number, key: string, pool?: BufferPool): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#closed) throw new CheckpointError(this.file, { key, found: 'a closed file', wanted: 'an open one' });
    if (position + length > this.size) throw this.#truncated(key, this.size, position + length);
    const bytes = this.#allocate(length, key, pool);
    let done = 0;
    while (done < length) {
      const most = Math.min(length - done, MAX_READ_BYTES);
      const { bytesRead } = await this.#handle.read(bytes, done, most, position + done).catch((cause: unknown) => {
        throw new CheckpointError(this.file, { key, found: String(cause), wanted: `${length} bytes` }, { cause });
      });
      // The file has become shorter since it was opened.
      if (bytesRead === 0) throw this.#truncated(key, position + done, position + length);
      done += bytesRead;
    }
    return bytes;
  }

  close(): Promise<void> {
    this.#closed ??= this.#handle.close();
    return this.#closed;
  }

  #allocate(length: number, key: string, pool: BufferPool | undefined): Uint8Array<ArrayBuffer> {
    try {
      return new Uint8Array(pool?.take(length) ?? new ArrayBuffer(length));
    } catch (cause) {
      const wanted = 'no more than fits into memory';
      throw new CheckpointError(this.file, { key, found: `${length} bytes`, wanted }, { cause });
    }
  }

  #truncated(key: string, found: number, wanted: number): CheckpointError {
    const fault = { what: `truncated within ${key}`, found: `${found} bytes`, wanted: `at least ${wanted}` };
    return new CheckpointError(this.file, fault);
  }
}

function unreadable(file: string, found: string, cause?: unknown): CheckpointError {
  const fault = { what: 'cannot be read', found, wanted: 'a readable file' };
  return new CheckpointError(file, fault, { cause });
}
