/** JSON Lines, plain or gzipped, one validated row at a time; every error names the file and the line. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';

export async function* readJsonLines<T>(file: string, schema: z.ZodType<T>): AsyncGenerator<T> {
  const raw = createReadStream(file);
  const bytes = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
  // Errors of the file itself do not cross pipe().
  raw.on('error', (error) => bytes.destroy(error));
  let line = 0;
  for await (const text of lines(bytes)) {
    line++;
    if (text.trim() === '') continue;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw new Error(`${file}:${line}: not JSON: ${(error as Error).message}`);
    }
    const parsed = schema.safeParse(json);
    if (!parsed.success) throw new Error(`${file}:${line}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    yield parsed.data;
  }
  if (line === 0) throw new Error(`${file}: the file is empty`);
}

/** Lines by "\n" alone: node:readline also cuts at U+2028, which JSON allows inside a string. */
async function* lines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of bytes) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop()!;
    yield* parts;
  }
  rest += decoder.decode();
  if (rest !== '') yield rest;
}
