import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { collectGarbage } from '../engine/collect-garbage.ts';
import { pipDownload } from './pip-download.ts';

test.skipIf(process.platform === 'win32')('a pip that says too much is heard to its end, and not kept', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-hostile-pip-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const at = (name: string) => path.join(dir, name);
  // It waits at its end, so that we can see what is kept of what it has said.
  const says = 'head -c 100000000 /dev/zero >&2\necho >&2\necho "ERROR: no such package" >&2';
  const waits = `: >'${at('said')}'\nwhile [ ! -e '${at('end')}' ]; do sleep 0.05; done`;
  await writeFile(at('python'), `#!/bin/sh\n${says}\n${waits}\nexit 1\n`);
  await chmod(at('python'), 0o755);
  const held = () => {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = held();
  const pulled = pipDownload('a==1', dir, { pythons: [at('python')], env: process.env, onBytes: () => {} });
  const refused = expect(pulled).rejects.toThrow('pip says: no such package');
  await expect.poll(() => existsSync(at('said'))).toBe(true);
  expect(held() - before).toBeLessThan(20e6);
  await writeFile(at('end'), '');
  await refused;
});
