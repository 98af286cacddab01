import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pipDownload } from './pip-download.ts';

test.skipIf(process.platform === 'win32')('a pip that says too much is heard to its end, and not kept', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-hostile-pip-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const python = path.join(dir, 'python');
  await writeFile(
    python,
    '#!/bin/sh\nhead -c 100000000 /dev/zero >&2\necho >&2\necho "ERROR: no such package" >&2\nexit 1\n',
  );
  await chmod(python, 0o755);
  const before = process.memoryUsage.rss();
  const pulled = pipDownload('a==1', dir, { pythons: [python], env: process.env, onBytes: () => {} });
  await expect(pulled).rejects.toThrow('pip says: no such package');
  expect(process.memoryUsage.rss() - before).toBeLessThan(80e6);
});
