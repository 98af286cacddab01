/**
 * Reads safetensors (https://github.com/huggingface/safetensors): eight bytes of header length, a
 * JSON header of `name -> {dtype, shape, data_offsets}`, then the tensors' bytes back to back.
 * Opening a file checks everything the header claims against the file's size, before any tensor is
 * read.
 */
import * as z from 'zod';
import { decodeBfloat16 } from './bfloat16.ts';
import type { BufferPool } from './buffer-pool.ts';
import { CheckpointError } from './checkpoint-error.ts';
import { decodeHalf } from './half.ts';
import { parseJsonObject } from './parse-json-object.ts';
import { RandomAccessFile } from './random-access-file.ts';
import { elementCount, formatShape } from './tensor.ts';
import { noSuchTensor, type TensorInfo, type TensorSource } from './tensor-source.ts';

/** Some 150,000 tensors. The format allows more, and such a header takes gigabytes to parse. */
const MAX_HEADER_BYTES = 2 ** 24;
const LENGTH_BYTES = 8;

/** Every type of the format, in bits, because some are smaller than a byte. */
const BITS: Readonly<Record<string, number>> = {
  ...{ F4: 4, F6_E2M3: 6, F6_E3M2: 6 },
  ...{ BOOL: 8, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8 },
  ...{ I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, C64: 64, F64: 64, I64: 64, U64: 64 },
};

/** The types that can be read as f32. */
const DECODERS: Readonly<Record<string, (bytes: Uint8Array<ArrayBuffer>) => Float32Array<ArrayBuffer>>> = {
  F32: ({ buffer }) => new Float32Array(buffer),
  F16: ({ buffer }) => decodeHalf(new Uint16Array(buffer)),
  BF16: ({ buffer }) => decodeBfloat16(new Uint16Array(buffer)),
};
const READABLE = 'F32, F16 or BF16';

const Entry = z.object({
  dtype: z.string(),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
const Metadata = z.record(z.string(), z.string());

type Entry = TensorInfo & { begin: number };

export interface SafetensorsSource extends TensorSource {
  /** Where a tensor's bytes begin in the file. */
  offset(name: string): number;
}

/** Opens one file. Errors name it as `file`, by default its path. */
export async function openSafetensors(path: string, file: string = path): Promise<SafetensorsSource> {
  const opened = await RandomAccessFile.open(path, file);
  try {
    const headerBytes = await readHeaderLength(opened);
    const header = await opened.read(LENGTH_BYTES, headerBytes, 'header');
    const entries = parseEntries(parseJsonObject(header, file, 'safetensors header'), file);
    const dataStart = LENGTH_BYTES + headerBytes;
    checkCoverage(entries, opened.size - dataStart, file);
    return new SafetensorsFile(opened, entries, dataStart);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

class SafetensorsFile implements SafetensorsSource {
  readonly file: string;
  readonly #opened: RandomAccessFile;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #dataStart: number;

  constructor(opened: RandomAccessFile, entries: ReadonlyMap<string, Entry>, dataStart: number) {
    this.file = opened.file;
    this.#opened = opened;
    this.#entries = entries;
    this.#dataStart = dataStart;
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  info(name: string): TensorInfo {
    const { dtype, shape, bytes } = this.#entry(name);
    return { dtype, shape: [...shape], bytes };
  }

  async read(name: string, pool?: BufferPool): Promise<Float32Array<ArrayBuffer>> {
    const { dtype } = this.#entry(name);
    const decode = DECODERS[dtype];
    if (!decode) {
      const fault = { key: `tensor ${name}`, found: `type ${dtype}`, wanted: READABLE };
      throw new CheckpointError(this.file, fault);
    }
    return decode(await this.readBytes(name, pool));
  }

  async readBytes(name: string, pool?: BufferPool): Promise<Uint8Array<ArrayBuffer>> {
    return this.#opened.read(this.offset(name), this.#entry(name).bytes, `tensor ${name}`, pool);
  }

  offset(name: string): number {
    return this.#dataStart + this.#entry(name).begin;
  }

  close(): Promise<void> {
    return this.#opened.close();
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw noSuchTensor(this, name);
    return entry;
  }
}

async function readHeaderLength(opened: RandomAccessFile): Promise<number> {
  const bytes = await opened.read(0, LENGTH_BYTES, 'the header length');
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const most = Math.min(opened.size - LENGTH_BYTES, MAX_HEADER_BYTES);
  if (length <= most) return length;
  const what = 'truncated or not safetensors';
  throw new CheckpointError(opened.file, { what, found: `a header of ${length} bytes`, wanted: `at most ${most}` });
}

function parseEntries(header: [name: string, raw: unknown][], file: string): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const [name, raw] of header) {
    const key = name === '__metadata__' ? name : `tensor ${name}`;
    const refuse = (found: string, wanted: string) => new CheckpointError(file, { key, found, wanted });
    if (name === '__metadata__') {
      if (!Metadata.safeParse(raw).success) throw refuse('other values', 'texts only');
      continue;
    }
    const entry = Entry.safeParse(raw);
    if (!entry.success) throw refuse('a malformed header entry', 'dtype, shape and data_offsets');
    const { dtype, shape, data_offsets } = entry.data;
    const bits = Object.hasOwn(BITS, dtype) ? BITS[dtype] : undefined;
    if (bits === undefined) throw refuse(`type ${dtype}`, `one of ${Object.keys(BITS).join(', ')}`);
    const bytes = (elementCount(shape) * bits) / 8;
    const [begin, end] = data_offsets;
    if (end - begin !== bytes) {
      throw refuse(`${end - begin} bytes in data_offsets`, `${bytes} for ${dtype} ${formatShape(shape)}`);
    }
    entries.set(name, { dtype, shape, bytes, begin });
  }
  return entries;
}

/** The tensors must cover the data exactly: no hole, no overlap, nothing missing at the end. */
function checkCoverage(entries: ReadonlyMap<string, Entry>, dataBytes: number, file: string): void {
  let position = 0;
  const inOrder = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.bytes - b.bytes);
  for (const [name, { begin, bytes }] of inOrder) {
    if (begin !== position) {
      const what = begin < position ? 'overlap' : 'hole';
      const [found, wanted] = [`data from byte ${begin}`, `it from byte ${position}`];
      throw new CheckpointError(file, { key: `tensor ${name}`, what, found, wanted });
    }
    position += bytes;
  }
  if (position === dataBytes) return;
  const what = position > dataBytes ? 'truncated' : 'no tensor owns the end of the file';
  throw new CheckpointError(file, { what, found: `${dataBytes} bytes of tensor data`, wanted: `${position}` });
}
