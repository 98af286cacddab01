import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { compileKernel } from './testing/compile-kernel.ts';
import { kernelModule } from './testing/kernel-module.ts';

test('the kernel in the repository is what its source compiles to', async () => {
  const committed = await readFile(path.join(import.meta.dirname, 'kernel-bytes.ts'), 'utf8');
  expect(committed).toBe(kernelModule(await compileKernel()));
});
