import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileChunks } from './file-chunks.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'chunks-'));
});
afterAll(() => rm(root, { recursive: true }));

test.each([0, 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 5])(
  'a file of %i bytes comes whole and in order',
  async (size) => {
    const path = join(root, String(size));
    const bytes = Buffer.from(Uint32Array.from({ length: Math.ceil(size / 4) }, (_, i) => i).buffer).subarray(0, size);
    await writeFile(path, bytes);
    const found: Buffer[] = [];
    for await (const chunk of fileChunks(path)) found.push(Buffer.from(chunk));
    expect(Buffer.concat(found).equals(bytes)).toBe(true);
  },
);

test('a reader may stop early, and a file that is not there is an error', async () => {
  const path = join(root, 'early');
  await writeFile(path, Buffer.alloc(5 * 2 ** 20));
  for await (const chunk of fileChunks(path)) {
    expect(chunk).toHaveLength(2 ** 20);
    break;
  }
  const nowhere = fileChunks(join(root, 'nowhere'));
  await expect(nowhere.next()).rejects.toThrow('ENOENT');
});
