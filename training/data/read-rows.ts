/** Reads a data file by the ending of its name: `.parquet`, or else JSON Lines, plain or `.gz`. */
import type { z } from 'zod';
import { readJsonLines } from './read-jsonl.ts';
import { readParquet } from './read-parquet.ts';
import type { RowHint } from './row-problem.ts';

export function readRows<T>(
  file: string,
  schema: z.ZodType<T>,
  options: { hint?: RowHint | undefined } = {},
): AsyncGenerator<T> {
  if (/\.(xz|zst|bz2|zip)$/.test(file)) {
    throw new Error(`${file}: read are JSON Lines, plain or .gz, and .parquet; unpack it first`);
  }
  return file.endsWith('.parquet') ? readParquet(file, schema, options) : readJsonLines(file, schema, options);
}
