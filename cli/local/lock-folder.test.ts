import { mkdtemp, rm } from 'node:fs/promises';
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
