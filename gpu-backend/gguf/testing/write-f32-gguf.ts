/**
 * Writes the same model with all its weights as f32, for comparisons without another program's
 * kernels for quantised weights. The metadata is copied byte for byte.
 */
import { open } from 'node:fs/promises';
import { RandomAccessFile } from '#gpu-backend/model/random-access-file.ts';
import { HeaderCursor } from '../header-cursor.ts';
import { readMetadataValue } from '../metadata-value.ts';
import { type GgufSource, openGguf } from '../open-gguf.ts';
import { GgufBytes } from './make-gguf.ts';

/** More than any header that these tests meet. */
const MAX_HEADER_BYTES = 2 ** 25;
const ALIGNMENT = 32;

export async function writeF32Gguf(from: string, to: string): Promise<void> {
  const source = await openGguf(from);
  const file = await open(to, 'w');
  try {
    const { count, bytes } = await metadataBytes(from);
    const header = new GgufBytes().bytes(Buffer.from('GGUF')).u32(3).u64(source.names().length).u64(count).bytes(bytes);
    describeTensors(header, source);
    await file.writeFile(header.pad(ALIGNMENT).build());
    for (const name of source.names()) {
      const weights = await source.read(name);
      await file.writeFile(new GgufBytes().bytes(new Uint8Array(weights.buffer)).pad(ALIGNMENT).build());
    }
  } finally {
    await file.close();
    await source.close();
  }
}

function describeTensors(header: GgufBytes, source: GgufSource): void {
  let offset = 0;
  for (const name of source.names()) {
    const { shape } = source.info(name);
    header.text(name).u32(shape.length);
    for (const size of shape.toReversed()) header.u64(size);
    header.u32(0).u64(offset);
    const bytes = shape.reduce((product, size) => product * size, 4);
    offset += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }
}

/** The bytes of all keys and values, and how many there are. */
async function metadataBytes(path: string): Promise<{ count: number; bytes: Uint8Array }> {
  const entries = await metadataEntries(path);
  return { count: entries.size, bytes: Buffer.concat([...entries.values()]) };
}

/** The metadata of a file by key: the bytes of each entry, key and type included. */
export async function metadataEntries(path: string): Promise<Map<string, Uint8Array>> {
  const file = await RandomAccessFile.open(path, path);
  try {
    const limit = Math.min(file.size, MAX_HEADER_BYTES);
    const bytes = await file.read(0, limit, 'header');
    const cursor = new HeaderCursor(bytes, { file: path, limit });
    for (const field of ['magic', 'version']) cursor.u32(field);
    cursor.u64('tensor_count');
    const count = cursor.u64('metadata_kv_count');
    const entries = new Map<string, Uint8Array>();
    for (let i = 0; i < count; i++) {
      const begin = cursor.position;
      const key = cursor.text(`metadata ${i}`);
      readMetadataValue(cursor, key);
      entries.set(key, bytes.subarray(begin, cursor.position));
    }
    return entries;
  } finally {
    await file.close();
  }
}
