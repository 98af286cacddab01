/** The typed values of GGUF's metadata. */
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import type { HeaderCursor } from './header-cursor.ts';

/** Numbers of 64 bits are bigints. */
export type MetadataValue = number | bigint | boolean | string | MetadataValue[];

type Scalar = { bytes: number; read: (view: DataView, at: number) => number | bigint };

const SCALARS: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
  [0, { bytes: 1, read: (view, at) => view.getUint8(at) }],
  [1, { bytes: 1, read: (view, at) => view.getInt8(at) }],
  [2, { bytes: 2, read: (view, at) => view.getUint16(at, true) }],
  [3, { bytes: 2, read: (view, at) => view.getInt16(at, true) }],
  [4, { bytes: 4, read: (view, at) => view.getUint32(at, true) }],
  [5, { bytes: 4, read: (view, at) => view.getInt32(at, true) }],
  [6, { bytes: 4, read: (view, at) => view.getFloat32(at, true) }],
  [10, { bytes: 8, read: (view, at) => view.getBigUint64(at, true) }],
  [11, { bytes: 8, read: (view, at) => view.getBigInt64(at, true) }],
  [12, { bytes: 8, read: (view, at) => view.getFloat64(at, true) }],
]);
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** Deeper arrays are garbage: the format allows arrays of arrays, and no known key has one. */
const MAX_DEPTH = 4;

export function readMetadataValue(cursor: HeaderCursor, key: string): MetadataValue {
  return readValue(cursor, key, { type: cursor.u32(key), depth: 0 });
}

function readValue(cursor: HeaderCursor, key: string, { type, depth }: { type: number; depth: number }): MetadataValue {
  const scalar = SCALARS.get(type);
  if (scalar) return cursor.field(key, scalar.bytes, scalar.read);
  if (type === BOOL) return readBool(cursor, key);
  if (type === STRING) return cursor.text(key);
  if (type !== ARRAY) {
    throw new CheckpointError(cursor.file, { key, found: `a value of type ${type}`, wanted: 'a type from 0 to 12' });
  }
  if (depth === MAX_DEPTH) {
    throw new CheckpointError(cursor.file, {
      key,
      found: 'deeper arrays',
      wanted: `at most ${MAX_DEPTH} in each other`,
    });
  }
  const of = cursor.u32(key);
  const count = cursor.count(key, leastBytes(of));
  cursor.takeItems(key, count);
  const values: MetadataValue[] = [];
  for (let i = 0; i < count; i++) values.push(readValue(cursor, key, { type: of, depth: depth + 1 }));
  return values;
}

function readBool(cursor: HeaderCursor, key: string): boolean {
  const byte = cursor.field(key, 1, (view, at) => view.getUint8(at));
  if (byte > 1) throw new CheckpointError(cursor.file, { key, found: `the boolean ${byte}`, wanted: '0 or 1' });
  return byte === 1;
}

/** A string has at least its length, an array its type and length. */
function leastBytes(type: number): number {
  if (type === STRING) return 8;
  return type === ARRAY ? 12 : (SCALARS.get(type)?.bytes ?? 1);
}
