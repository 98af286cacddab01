/**
 * Writes a safetensors file one tensor at a time. Names, types and shapes must be known before, as
 * the header comes first and says where each tensor lies. So a file that was left half written can
 * be continued: every tensor has its place, whatever has been written so far.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BundleError } from './bundle-error.ts';
import { diskFull } from './disk-full.ts';
import { elementCount, formatShape } from './tensor.ts';

/** The types that we write, and their bytes. */
const BYTES = { F32: 4, F16: 2, BF16: 2, U8: 1 } as const;

export type PlannedTensor = { name: string; dtype: keyof typeof BYTES; shape: readonly number[] };

export type SafetensorsLayout = {
  /** All bytes before the first tensor. */
  head: Uint8Array;
  /** Where each tensor's bytes lie in the file. */
  places: ReadonlyMap<string, { begin: number; bytes: number; tensor: PlannedTensor }>;
  /** The file's size in bytes. */
  bytes: number;
};

/** Tensors lie in the order given, without gaps. */
export function layOutSafetensors(tensors: Iterable<PlannedTensor>): SafetensorsLayout {
  const header: [string, unknown][] = [['__metadata__', { format: 'pt' }]];
  const offsets: [string, { begin: number; bytes: number; tensor: PlannedTensor }][] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const bytes = elementCount(shape) * BYTES[dtype];
    header.push([name, { dtype, shape, data_offsets: [offset, offset + bytes] }]);
    offsets.push([name, { begin: offset, bytes, tensor }]);
    offset += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  // The format pads the JSON with spaces, so that the data is aligned to eight bytes.
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const head = new Uint8Array(8 + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(json, 8);
  const places = new Map(
    offsets.map(([name, place]) => [name, { ...place, begin: head.byteLength + place.begin }] as const),
  );
  return { head, places, bytes: head.byteLength + offset };
}

/** Node writes at most 2 GiB at once. */
const MAX_WRITE_BYTES = 2 ** 30;

export class SafetensorsWriter {
  readonly #handle: FileHandle;
  readonly #layout: SafetensorsLayout;
  readonly #path: string;
  readonly #file: string;

  private constructor(handle: FileHandle, layout: SafetensorsLayout, { path, file }: { path: string; file: string }) {
    this.#handle = handle;
    this.#layout = layout;
    this.#path = path;
    this.#file = file;
  }

  /**
   * Makes the file and writes its header. With `resume` it keeps the tensors of an existing file.
   * Errors name the file as `file`, by default its path.
   */
  static async open(
    path: string,
    layout: SafetensorsLayout,
    { file = path, resume = false }: { file?: string; resume?: boolean } = {},
  ): Promise<SafetensorsWriter> {
    const handle = await open(path, resume ? 'r+' : 'w').catch(async (cause: unknown) => {
      throw (await diskFull(cause, { file, path: dirname(path), bytes: layout.bytes })) ?? cause;
    });
    const writer = new SafetensorsWriter(handle, layout, { path, file });
    try {
      await writer.#writeAt(0, layout.head);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return writer;
  }

  /** Writes one tensor's bytes at its place. Tensors may come in any order. */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    const place = this.#layout.places.get(name);
    if (place === undefined) throw new BundleError(this.#file, `tensor ${name}: wanted a tensor of the header`);
    if (bytes.byteLength !== place.bytes) {
      const { dtype, shape } = place.tensor;
      const wanted = `${place.bytes} for ${dtype} ${formatShape(shape)}`;
      throw new BundleError(this.#file, `tensor ${name}: found ${bytes.byteLength} bytes, wanted ${wanted}`);
    }
    await this.#writeAt(place.begin, bytes);
  }

  /**
   * Makes sure that everything is on the disk. Some file systems report a full disk only now, and a
   * caller that replaces an older file with this one must know that first.
   */
  async sync(): Promise<void> {
    await this.#handle.sync().catch((cause: unknown) => this.#fail(cause));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  async #writeAt(position: number, bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.byteLength) {
      const most = Math.min(bytes.byteLength - done, MAX_WRITE_BYTES);
      const { bytesWritten } = await this.#handle
        .write(bytes, done, most, position + done)
        .catch((cause: unknown) => this.#fail(cause));
      done += bytesWritten;
    }
  }

  async #fail(cause: unknown): Promise<never> {
    const { size } = await this.#handle.stat().catch(() => ({ size: 0 }));
    const bytes = Math.max(0, this.#layout.bytes - size);
    throw (await diskFull(cause, { file: this.#file, path: this.#path, bytes })) ?? cause;
  }
}
