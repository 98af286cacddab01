/**
 * Reads Parquet, one validated row at a time. Every error names the file and the row; rows count
 * from 1. We never hold the whole file in memory, only one row group (the hub's files have groups
 * of a few thousand rows). hyparquet decodes the files, including Snappy. Node handles the other
 * compressions. We do not read LZ4 and LZO.
 */
import zlib from 'node:zlib';
import { asyncBufferFromFile, type Compressors, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import type { z } from 'zod';
import { type RowHint, rowProblem } from './row-problem.ts';

const COMPRESSORS: Compressors = {
  GZIP: (bytes) => zlib.gunzipSync(bytes),
  BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
  ZSTD: (bytes) => zlib.zstdDecompressSync(bytes),
};

export async function* readParquet<T>(
  file: string,
  schema: z.ZodType<T>,
  { hint }: { hint?: RowHint | undefined } = {},
): AsyncGenerator<T> {
  const named = async <R>(where: string, work: Promise<R>): Promise<R> => {
    try {
      return await work;
    } catch (cause) {
      throw new Error(`${where}: ${(cause as Error).message}`, { cause });
    }
  };
  const buffer = await named(file, asyncBufferFromFile(file));
  const metadata = await named(file, parquetMetadataAsync(buffer));
  if (metadata.num_rows === 0n) throw new Error(`${file}: the file is empty`);
  let first = 0;
  for (const group of metadata.row_groups) {
    const last = first + Number(group.num_rows);
    const options = { file: buffer, metadata, rowStart: first, rowEnd: last, compressors: COMPRESSORS };
    const rows = await named(`${file}: rows ${first + 1} to ${last}`, parquetReadObjects(options));
    for (const [i, row] of rows.entries()) {
      const json = withNumbers(row);
      const parsed = schema.safeParse(json);
      if (!parsed.success) throw new Error(`${file}: row ${first + i + 1}: ${rowProblem(parsed.error, json, hint)}`);
      yield parsed.data;
    }
    first = last;
  }
}

/** 64-bit integers arrive as bigint. They become numbers, as in JSON, if a number can hold them. */
function withNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(withNumbers);
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withNumbers(each)]));
}
