/**
 * Compiles the gate's kernel and writes its bytes, after kernel.as has changed:
 *
 *     node scripts/launch.mjs shared/gate/fast/testing/build-kernel.ts
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { compileKernel } from './compile-kernel.ts';
import { kernelModule } from './kernel-module.ts';

const OUT = path.join(import.meta.dirname, '../kernel-bytes.ts');

const bytes = await compileKernel();
await writeFile(OUT, kernelModule(bytes));
console.log(`${OUT}: ${bytes.length} bytes of WebAssembly`);
