/**
 * The time of `plimsoll model import` for a GGUF file, against writing as many bytes as it writes
 * and hashing them, which nobody can do without. Every round does both, in a newly drawn order.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';

const PIECE_BYTES = 2 ** 22;

/** Returns import / writing and hashing. `dir` is on the disk that the bundles go to. */
export async function measureImport(gguf: string, dir: string, { rounds }: { rounds: number }): Promise<number> {
  const imported = path.join(await mkdtemp(path.join(dir, 'import-')), 'bundle');
  const run = () =>
    importModel({
      source: gguf,
      out: imported,
      id: 'imported',
      experts: { safety: {}, helpfulness: {} },
      weights: 'f32',
      licence: 'Apache-2.0',
      force: true,
    });
  await run();
  const bytes = await readFile(path.join(imported, BUNDLE_FILES.weights));
  const timed = (work: () => Promise<unknown>) => async () => {
    const began = performance.now();
    await work();
    return (performance.now() - began) / 1000;
  };
  const copy = path.join(dir, 'written');
  const measured = await alternate(
    [
      { name: 'import', run: timed(run) },
      { name: 'write and hash', run: timed(() => writeAndHash(bytes, copy)) },
    ],
    { rounds },
  );
  await rm(copy);
  console.log(`\nimport of ${path.basename(gguf)} as f32, ${(bytes.length / 1e6).toFixed(0)} MB of weights`);
  printMeasured(measured, 's');
  return medianRatio(...measured);
}

async function writeAndHash(bytes: Buffer, to: string): Promise<void> {
  const hash = createHash('sha256');
  const file = await open(to, 'w');
  try {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      hash.update(piece);
      await file.writeFile(piece);
    }
    // The import does so too: a full disk may say so only now.
    await file.sync();
  } finally {
    await file.close();
  }
  hash.digest('hex');
}
