import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RandomAccessFile } from './random-access-file.ts';

let dir: string;
let path: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'random-access-'));
  path = join(dir, 'file');
  await writeFile(path, Buffer.from([1, 2, 3, 4]));
});
afterAll(() => rm(dir, { recursive: true }));

test('reads at any position', async () => {
  const file = await RandomAccessFile.open(path, 'f');
  expect([...(await file.read(1, 2, 'part'))]).toEqual([2, 3]);
  expect([...(await file.read(4, 0, 'nothing'))]).toEqual([]);
  await file.close();
});

// So large that to allocate it first would be another error.
test.each([1, 2 ** 50])('refuses %d bytes past the end', async (length) => {
  const file = await RandomAccessFile.open(path, 'f');
  const message = `f: truncated within part: found 4 bytes, wanted at least ${4 + length}`;
  await expect(file.read(4, length, 'part')).rejects.toThrow(message);
  await file.close();
});
