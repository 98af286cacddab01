/** Reads a data file by the ending of its name: `.parquet`, or else JSON Lines, plain or `.gz`. */
import type { z } from 'zod';
import { readJsonLines } from './read-jsonl.ts';
import { readParquet } from './read-parquet.ts';

export function readRows<T>(file: string, schema: z.ZodType<T>): AsyncGenerator<T> {
  if (/\.(xz|zst|bz2|zip)$/.test(file)) {
    throw new Error(`${file}: read are JSON Lines, plain or .gz, and .parquet; unpack it first`);
  }
  return file.endsWith('.parquet') ? readParquet(file, schema) : readJsonLines(file, schema);
}
