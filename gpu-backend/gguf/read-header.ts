/**
 * The header of a GGUF file, versions 2 and 3
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata, then one entry for each
 * tensor. The tensors' bytes follow, in the order of the entries, each padded to the alignment. As
 * llama.cpp does, we refuse gaps and overlaps, and names that occur twice.
 */
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import type { RandomAccessFile } from '#gpu-backend/model/random-access-file.ts';
import { elementCount, formatShape } from '#gpu-backend/model/tensor.ts';
import { HeaderCursor, NeedMoreBytes } from './header-cursor.ts';
import { type MetadataValue, readMetadataValue } from './metadata-value.ts';
import { nameOfType, TENSOR_TYPES, type TensorType } from './tensor-types.ts';

/** SmolLM2's 49,152 tokens and their merges take 1.8 MB. A header of 67 MB is garbage. */
const MAX_HEADER_BYTES = 2 ** 26;
const FIRST_READ_BYTES = 2 ** 22;
/** ggml's own limit. */
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;

export type TensorEntry = {
  type: TensorType;
  /** Row-major: the file lists the sizes the other way round. */
  shape: number[];
  /** In the file. */
  begin: number;
  bytes: number;
};

export type GgufHeader = { metadata: Map<string, MetadataValue>; tensors: Map<string, TensorEntry> };

export async function readHeader(opened: RandomAccessFile): Promise<GgufHeader> {
  const limit = Math.min(opened.size, MAX_HEADER_BYTES);
  let length = Math.min(limit, FIRST_READ_BYTES);
  for (;;) {
    const bytes = await opened.read(0, length, 'header');
    try {
      return parseHeader(new HeaderCursor(bytes, { file: opened.file, limit }), opened.size);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      length = Math.min(limit, Math.max(2 * length, error.wanted));
    }
  }
}

function parseHeader(cursor: HeaderCursor, size: number): GgufHeader {
  checkVersion(cursor);
  // A name has a length, and so has a tensor's entry: that, its dimensions, type and offset.
  const tensorCount = cursor.count('tensor_count', 8 + 4 + 4 + 8);
  const metadataCount = cursor.count('metadata_kv_count', 8 + 4 + 1);
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.text(`metadata ${i}`);
    if (metadata.has(key)) refuseTwice(cursor, key);
    metadata.set(key, readMetadataValue(cursor, key));
  }
  const alignment = alignmentOf(metadata, cursor.file);

  const entries = new Map<string, TensorEntry>();
  let next = 0;
  for (let i = 0; i < tensorCount; i++) {
    const name = cursor.text(`tensor ${i}`);
    const key = `tensor ${name}`;
    if (entries.has(name)) refuseTwice(cursor, key);
    const entry = readEntry(cursor, key);
    if (entry.begin !== next) {
      const what = entry.begin < next ? 'overlap' : 'hole';
      const [found, wanted] = [`data from byte ${entry.begin}`, `it from byte ${next}`];
      throw new CheckpointError(cursor.file, { key, what, found, wanted });
    }
    entries.set(name, entry);
    next = align(next + entry.bytes, alignment);
  }

  const dataStart = align(cursor.position, alignment);
  for (const [name, entry] of entries) {
    entry.begin += dataStart;
    const end = entry.begin + entry.bytes;
    if (end > size) {
      const fault = { key: `tensor ${name}`, what: 'truncated', found: `${size} bytes`, wanted: `at least ${end}` };
      throw new CheckpointError(cursor.file, fault);
    }
  }
  return { metadata, tensors: entries };
}

function checkVersion(cursor: HeaderCursor): void {
  const magic = cursor.field('magic', 4, (view, at) => view.getUint32(at, true));
  if (magic !== 0x46554747) {
    const found = `0x${magic.toString(16)}`;
    throw new CheckpointError(cursor.file, { key: 'magic', what: 'not GGUF', found, wanted: '0x46554747' });
  }
  const version = cursor.u32('version');
  if (version === 2 || version === 3) return;
  const found = (version & 0xffff) === 0 ? 'a big-endian file' : `${version}`;
  throw new CheckpointError(cursor.file, { key: 'version', found, wanted: '2 or 3, little-endian' });
}

function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>, file: string): number {
  const key = 'general.alignment';
  const alignment = metadata.get(key) ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === 'number' && Number.isInteger(Math.log2(alignment))) return alignment;
  throw new CheckpointError(file, { key, found: String(alignment).slice(0, 40), wanted: 'a power of two in 32 bits' });
}

function readEntry(cursor: HeaderCursor, key: string): TensorEntry {
  const refuse = (found: string, wanted: string) => new CheckpointError(cursor.file, { key, found, wanted });
  const dimensions = cursor.u32(key);
  if (dimensions > MAX_DIMENSIONS) throw refuse(`${dimensions} dimensions`, `at most ${MAX_DIMENSIONS}`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(cursor.u64(key));
  const elements = elementCount(shape);
  if (![elements, ...shape].every(Number.isSafeInteger))
    throw refuse(`shape ${formatShape(shape)}`, 'fewer than 2^53 elements');

  const number = cursor.u32(key);
  const type = TENSOR_TYPES.get(number);
  if (!type) {
    const readable = [...TENSOR_TYPES.values()].map(({ name }) => name).join(', ');
    throw refuse(`type ${nameOfType(number)}`, `one of ${readable}`);
  }
  const row = shape.at(-1) ?? 1;
  if (row % type.blockSize !== 0) throw refuse(`rows of ${row}`, `a multiple of ${type.blockSize} for ${type.name}`);
  return { type, shape, begin: cursor.u64(key), bytes: (elements / type.blockSize) * type.blockBytes };
}

function refuseTwice(cursor: HeaderCursor, key: string): never {
  throw new CheckpointError(cursor.file, { key, found: 'this name twice in the header', wanted: 'every name once' });
}

const align = (position: number, alignment: number) => Math.ceil(position / alignment) * alignment;
