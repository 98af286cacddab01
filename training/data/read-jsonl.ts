/**
 * Reads JSON Lines, plain or gzipped, one validated row at a time. Every error names the file and
 * the line.
 */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import type { z } from 'zod';
import { type RowHint, rowProblem } from './row-problem.ts';

export async function* readJsonLines<T>(
  file: string,
  schema: z.ZodType<T>,
  { hint }: { hint?: RowHint | undefined } = {},
): AsyncGenerator<T> {
  const raw = createReadStream(file);
  const bytes = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
  // pipe() does not forward the file stream's own errors.
  raw.on('error', (error) => bytes.destroy(error));
  let line = 0;
  for await (const text of lines(bytes, file)) {
    line++;
    if (text.trim() === '') continue;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw new Error(`${file}:${line}: not JSON: ${(error as Error).message}`);
    }
    const parsed = schema.safeParse(json);
    if (!parsed.success) throw new Error(`${file}:${line}: ${rowProblem(parsed.error, json, hint)}`);
    yield parsed.data;
  }
  if (line === 0) throw new Error(`${file}: the file is empty`);
}

/**
 * Splits lines only at "\n". node:readline would also split at U+2028, which JSON allows inside a
 * string.
 */
async function* lines(bytes: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let line = 0;
  const chunks = bytes[Symbol.asyncIterator]();
  while (true) {
    let parts: string[];
    let done: boolean | undefined;
    try {
      const next = await chunks.next();
      done = next.done;
      parts = (rest + decoder.decode(next.value, { stream: !done })).split('\n');
    } catch (cause) {
      // Node's errors for a missing file, a broken archive or invalid UTF-8 name neither the file
      // nor the place in it.
      throw new Error(`${line === 0 ? file : `${file}:${line + 1}`}: ${(cause as Error).message}`, { cause });
    }
    rest = parts.pop()!;
    line += parts.length;
    yield* parts;
    if (done) break;
  }
  if (rest !== '') yield rest;
}
