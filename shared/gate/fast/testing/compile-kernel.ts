import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { tableOfPowers } from './table-of-powers.ts';

const SOURCE = path.join(import.meta.dirname, '../kernel.as');
const COMPILER = path.join(import.meta.dirname, '../../../../node_modules/assemblyscript/bin/asc.js');

const OPTIONS = ['--outFile', 'kernel.wasm', '-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd'];

/**
 * Compiles the gate's kernel. Its file is called `.as`, since it is not TypeScript; the compiler
 * gets a copy under the name that it insists on, with the table of powers beside it. Throws with
 * the compiler's own messages.
 */
export async function compileKernel(): Promise<Uint8Array> {
  const folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-kernel-'));
  try {
    await copyFile(SOURCE, path.join(folder, 'kernel.ts'));
    await writeFile(path.join(folder, 'table-of-powers.ts'), tableOfPowers());
    const { status, stderr } = spawnSync(process.execPath, [COMPILER, 'kernel.ts', ...OPTIONS], {
      cwd: folder,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${SOURCE} does not compile:\n${stderr}`);
    return await readFile(path.join(folder, 'kernel.wasm'));
  } finally {
    await rm(folder, { recursive: true });
  }
}
