import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { lockFolder } from './lock-folder.ts';

test('a folder has one holder at a time', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-lock-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const first = lockFolder(folder);
  expect(first).not.toBeNull();
  expect(lockFolder(folder)).toBeNull();
  first?.release();
  const second = lockFolder(folder);
  expect(second).not.toBeNull();
  second?.release();
});

test('names a damaged lock and says what to do', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-lock-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'lock.db');
  await writeFile(file, 'x'.repeat(5_000));
  expect(() => lockFolder(folder)).toThrow(`${file} cannot be locked (file is not a database); it holds nothing but`);
  await rm(file);
  await mkdir(file);
  expect(() => lockFolder(folder)).toThrow(/lock\.db cannot be locked \(.+\); .* delete it and start again/);
});
